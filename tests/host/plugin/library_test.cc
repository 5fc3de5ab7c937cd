// Each library of tests/fixtures/bad_plugins has one fault; its whole message is expected here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <utility>
#include <vector>

#include "bad_plugins.h"
#include "plugin/catalog.h"

namespace sluice::plugin {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// The refusal of a fixture without the path in front.
std::string refusal(const std::string& name) {
  const auto library = Library::load(fixture(name));
  if (library) return "loaded";
  EXPECT_EQ(library.status().code(), Code::kInvalid);
  const std::string text = library.status().text(), prefix = fixture(name) + ": ";
  EXPECT_THAT(text, StartsWith(prefix));
  return text.substr(prefix.size());
}

// What Library::load says of a file or folder whose access we changed.
std::string refusal_at(const std::string& path) {
  const auto library = Library::load(path);
  return library ? "loaded" : library.status().text();
}

TEST(LibraryVersion, WrongMajorNamesBothVersionsAndTheRemedy) {
  const char* const expected =
      "built for plugin table version 2, this host has version 1.2; rebuild it against the SDK "
      "installed with this host";
  EXPECT_EQ(refusal("wrong_major"), expected);
  EXPECT_EQ(refusal("other_symbol"), expected);
}

TEST(LibraryVersion, NewerMinorNamesBothVersionsAndTheRemedy) {
  EXPECT_EQ(refusal("newer_minor"),
            "needs plugin table version 1.9 or newer, this host has version 1.2; install a newer "
            "sluice or rebuild it against the SDK installed with this host");
}

TEST(LibraryTable, ShortTableIsRefusedBeforeItIsRead) {
  EXPECT_EQ(refusal("short_table"),
            "the plugin table is 24 bytes, version 1.0 has 104; set struct_size to "
            "sizeof(sluice_plugin) or use SLUICE_PLUGIN");
}

TEST(LibraryTable, ElementSizeOfZeroIsRefused) {
  EXPECT_EQ(refusal("zero_element_size"),
            "kind_size in the plugin table is 0, version 1.0 has 168; fill the table with sizeof "
            "or use SLUICE_PLUGIN");
}

TEST(LibraryTable, LibraryWithoutTableIsNoPlugin) {
  EXPECT_EQ(refusal("no_symbol"),
            "exports no sluice_plugin_v1; end the plugin's source with SLUICE_PLUGIN(name, "
            "version, ...)");
}

TEST(LibraryTable, UnresolvedSymbolKeepsTheLoadersText) {
  EXPECT_THAT(refusal("unresolved_symbol"), StartsWith("cannot be loaded: "));
  EXPECT_THAT(refusal("unresolved_symbol"), HasSubstr("undefined symbol: function_nobody_has"));
  EXPECT_THAT(refusal("unresolved_symbol"), Not(HasSubstr("boost")));
}

TEST(LibraryDescription, MissingFunctionsAreListed) {
  EXPECT_EQ(refusal("no_process"),
            "its description is not sound: kind \"stage\": function process is missing; kind "
            "\"stage\": function act is missing; kind \"stage\": function settle is missing");
}

TEST(LibraryTable, TableOfVersion10Loads) {
  const auto library = Library::load(fixture("table_1_0"));
  ASSERT_TRUE(library) << library.status().text();
  EXPECT_TRUE((*library)->description().kinds.front().times.empty());
}

TEST(LibraryDescription, ATableOfVersion11IsReadAsFarAsItGoes) {
  const auto library = Library::load(fixture("table_1_1"));
  ASSERT_TRUE(library) << library.status().text();
  EXPECT_EQ((*library)->description().kinds.front().times.size(), 1u);
  EXPECT_TRUE((*library)->description().kinds.front().metrics.empty());
}

TEST(LibraryDescription, MetricsThatCannotBeServedAreListed) {
  EXPECT_EQ(
      refusal("bad_metrics"),
      "its description is not sound: kind \"stage\": metric \"sluice_own\": names in sluice_ "
      "are the host's; kind \"stage\": metric \"plans-total\": only letters, digits and _ fit, "
      "not a digit first; kind \"stage\": metric \"plans\": type 7 is not known; kind "
      "\"stage\": metric \"waits\": label \"le gs\": only letters, digits and _ fit, not a "
      "digit or __ first; kind \"stage\": metric \"waits\": label \"leg\" is described twice; "
      "kind \"stage\": metric \"waits\" is described twice");
}

TEST(LibraryDescription, TimesThatNameNothingAreListed) {
  EXPECT_EQ(refusal("bad_times"),
            "its description is not sound: kind \"stage\": time \"gone\": the kind has no setting "
            "and no hook of that name; kind \"stage\": time \"count\": it is not a duration; kind "
            "\"stage\": time \"life\": the kind has no keys permit:{id}; kind \"stage\": time "
            "\"life\": its role is not known");
}

TEST(LibraryDescription, NoKindIsRefused) {
  EXPECT_EQ(refusal("no_kinds"), "its description is not sound: no kind is described");
}

TEST(LibraryDescription, DoubledAndMissingNamesAreListed) {
  EXPECT_EQ(refusal("kind_twice"),
            "its description is not sound: a kind has no name; kind \"stage\" is described twice");
  EXPECT_EQ(refusal("setting_twice"),
            "its description is not sound: kind \"stage\": setting \"rate\" is described twice");
}

TEST(LibraryDescription, DefaultsAndBoundsMustFitTheirOwnRange) {
  EXPECT_EQ(refusal("default_out_of_range"),
            "its description is not sound: "
            "kind \"stage\": setting \"rate\": default: expected an integer from 1 to 10, got "
            "\"20\"; "
            "kind \"stage\": setting \"wait\": default: expected a duration, such as 10s, got "
            "\"soon\"; "
            "kind \"stage\": setting \"upside_down\": minimum 1.5 is above maximum 0.5; "
            "kind \"stage\": setting \"ranged\": boolean has no range");
}

TEST(LibraryDescription, HookResultsNeedDefaults) {
  EXPECT_EQ(refusal("hook_without_default"),
            "its description is not sound: "
            "kind \"stage\": hook \"permit_ttl\": result \"ttl\" has no default; it is used when "
            "the policy has no such hook; "
            "kind \"stage\": hook \"nothing\" returns nothing");
}

TEST(LibraryDescription, GoodPluginIsDescribedWhole) {
  const auto library = Library::load(fixture("good_two_kinds"));
  ASSERT_TRUE(library) << library.status().text();
  const Description& plugin = (*library)->description();
  EXPECT_EQ(plugin.name, "good_two_kinds");
  EXPECT_EQ(plugin.version, "2.3.4");
  EXPECT_EQ(plugin.path, fixture("good_two_kinds"));
  EXPECT_EQ(plugin.abi_major, 1u);
  ASSERT_EQ(plugin.kinds.size(), 2u);

  const Kind& forward = plugin.kinds[0];
  EXPECT_EQ(forward.name, "forward");
  EXPECT_EQ(forward.doc, "Forwards what it is told to.");
  EXPECT_EQ(forward.type, KindType::kStage);
  ASSERT_EQ(forward.inputs.size(), 1u);
  EXPECT_EQ(forward.inputs[0].fields, std::vector<std::string>{"symbol"});
  ASSERT_NE(forward.find_output("out"), nullptr);
  EXPECT_TRUE(forward.find_output("out")->optional);
  ASSERT_NE(forward.find_output("venue_a"), nullptr) << "a port for any name matches";
  EXPECT_TRUE(forward.find_output("venue_a")->many);
  EXPECT_EQ(forward.find_input("out"), nullptr);

  ASSERT_EQ(forward.settings.size(), 7u);
  const Param& mode = forward.settings[1];
  EXPECT_EQ(mode.choices, (std::vector<std::string>{"strict", "loose"}));
  const Param& limit = forward.settings[2];
  EXPECT_EQ(limit.type, ValueType::kDecimal);
  EXPECT_EQ(limit.unit, "USDT");
  EXPECT_EQ(limit.default_text, "0.5");
  EXPECT_EQ(limit.max_text, "1e3");
  EXPECT_EQ(forward.settings[3].default_text, std::nullopt);

  const Hook* hook = forward.find_hook("permit_ttl");
  ASSERT_NE(hook, nullptr);
  ASSERT_EQ(hook->args.size(), 1u);
  EXPECT_EQ(hook->args[0].type, ValueType::kRecord);
  EXPECT_EQ(hook->args[0].fields, (std::vector<std::string>{"symbol", "qty"}));
  ASSERT_EQ(hook->results.size(), 1u);
  EXPECT_EQ(hook->results[0].default_text, "60s");
  EXPECT_EQ(forward.find_hook("other"), nullptr);

  ASSERT_EQ(forward.keys.size(), 1u);
  EXPECT_TRUE(forward.keys[0].reads && forward.keys[0].writes && !forward.keys[0].counter);
  EXPECT_EQ(forward.reasons, std::vector<std::string>{"unknown_symbol"});
  EXPECT_EQ(plugin.kinds[1].type, KindType::kSource);
  EXPECT_NE((*library)->functions("tick"), nullptr);
  EXPECT_EQ((*library)->functions("tock"), nullptr);
}

TEST(LibraryFile, MissingFileIsNotFound) {
  const auto library = Library::load("/nowhere/at/all.so");
  ASSERT_FALSE(library);
  EXPECT_EQ(library.status().code(), Code::kNotFound);
  EXPECT_EQ(library.status().text(), "/nowhere/at/all.so: No such file or directory");
}

TEST(LibraryFile, LinkAndFolderAreRefused) {
  TemporaryFolder folder;
  std::filesystem::create_symlink(fixture("good_two_kinds"), folder.in("link.so"));
  std::filesystem::create_directory(folder.in("folder.so"));
  EXPECT_EQ(refusal_at(folder.in("link.so")),
            folder.in("link.so") +
                ": is a symbolic link, not a regular file; copy the library itself there");
  EXPECT_EQ(
      refusal_at(folder.in("folder.so")),
      folder.in("folder.so") + ": is a folder, not a regular file; copy the library itself there");
}

TEST(LibraryFile, FileThatOthersCanWriteIsRefused) {
  TemporaryFolder folder;
  const std::string path = folder.take({"good_two_kinds"});
  for (const auto& [mode, text] : {std::pair(0757, "0757"), std::pair(0664, "0664")}) {
    std::filesystem::permissions(path, static_cast<std::filesystem::perms>(mode));
    EXPECT_EQ(refusal_at(path),
              path + ": can be written by group or others (mode " + text + "); chmod go-w it");
  }
  std::filesystem::permissions(path, static_cast<std::filesystem::perms>(0644));
  EXPECT_EQ(refusal_at(path), "loaded");
}

TEST(LibraryFile, FolderThatOthersCanWriteIsRefused) {
  TemporaryFolder folder;
  const std::string path = folder.take({"good_two_kinds"});
  std::filesystem::permissions(folder.path(), static_cast<std::filesystem::perms>(0775));
  EXPECT_EQ(refusal_at(path), path + ": its folder " + folder.path() +
                                  " can be written by group or others (mode 0775); chmod go-w it");
}

TEST(LibraryFile, FileOrFolderOfAnotherUserIsRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "only root gives files away";
  constexpr uid_t kNobody = 65534;
  TemporaryFolder folder;
  const std::string path = folder.take({"good_two_kinds"});
  ASSERT_EQ(chown(path.c_str(), kNobody, 0), 0);
  EXPECT_THAT(refusal_at(path), StartsWith(path + ": belongs to user 65534"));
  EXPECT_THAT(refusal_at(path), HasSubstr(", expected root; chown it"));
  ASSERT_EQ(chown(path.c_str(), 0, 0), 0);
  ASSERT_EQ(chown(folder.path().c_str(), kNobody, 0), 0);
  EXPECT_THAT(refusal_at(path),
              StartsWith(path + ": its folder " + folder.path() + " belongs to user 65534"));
  ASSERT_EQ(chown(folder.path().c_str(), 0, 0), 0);
  EXPECT_EQ(refusal_at(path), "loaded");
}

TEST(LibraryFile, OneThatChangedSinceItWasDescribedIsRefused) {
  TemporaryFolder folder;
  const std::string path = folder.take({"good_two_kinds"});
  const std::vector<std::pair<std::string, std::function<void()>>> changes = {
      {"nothing", [] {}},
      {"another one has its name",
       [&] {
         std::filesystem::copy_file(path, folder.in("new"));
         std::filesystem::rename(folder.in("new"), path);
       }},
      {"a byte more", [&] { std::ofstream(path, std::ios::app) << 'x'; }},
      {"its access", [&] { std::filesystem::permissions(path, std::filesystem::perms(0600)); }}};
  for (const auto& [what, change] : changes) {
    const auto described = describe_in_child(path, 20'000);
    ASSERT_TRUE(described) << described.status().text();
    change();
    const auto loaded = Library::load(path, described->file);
    EXPECT_EQ(loaded.is_ok(), what == "nothing") << what;
    if (loaded) continue;
    EXPECT_EQ(loaded.status().code(), Code::kInvalid);
    EXPECT_THAT(loaded.status().text(), StartsWith(path + ": is not the file that was checked"));
  }
}

TEST(LibraryFile, TextCalledLibraryKeepsTheLoadersText) {
  TemporaryFolder folder;
  const std::string path = folder.in("text.so");
  std::filesystem::copy_file(SLUICE_SOURCE_DIR "/tests/fixtures/bad_plugins/CMakeLists.txt", path);
  std::filesystem::permissions(path, static_cast<std::filesystem::perms>(0644));
  EXPECT_THAT(refusal_at(path), HasSubstr("cannot be loaded: "));
  EXPECT_THAT(refusal_at(path), HasSubstr("ELF"));
}

}  // namespace
}  // namespace sluice::plugin
