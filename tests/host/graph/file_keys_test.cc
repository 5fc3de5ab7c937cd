// The table of keys against the loader, which has its own code for each: the loader is asked by
// files that hold an unknown key, a value at or past a bound, or a default written out.
#include "graph/file_keys.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <string>

#include "host/graph/pipeline_fixture.h"

namespace sluice::graph {
namespace {

struct NamedSection {
  Section section;
  const char* name;
};
constexpr NamedSection kSections[] = {
    {Section::kTop, "top"},          {Section::kEngine, "engine"}, {Section::kStream, "stream"},
    {Section::kAccount, "account"},  {Section::kStage, "stage"},   {Section::kRetry, "retry"},
    {Section::kDefaults, "defaults"}};

// A sound file with `line` added to one section.
std::string file_with(Section section, const std::string& line) {
  const auto at = [&](Section here, const std::string& indent) {
    return here == section ? indent + line + '\n' : std::string();
  };
  return "api: sluice/v1\npipeline: small\n" + at(Section::kTop, "") + "engine:\n" +
         at(Section::kEngine, "  ") + "streams:\n  in:\n    external: true\n" +
         at(Section::kStream, "    ") + "    account:\n      as: milestone\n      label: x\n" +
         at(Section::kAccount, "      ") + "  out: { unread: true }\n  dead: {}\n" +
         "stages:\n  send:\n    use: flow.send\n    from: in\n    to: { result: out }\n" +
         at(Section::kStage, "    ") + "    retry:\n" + at(Section::kRetry, "      ") +
         "defaults:\n  dead_letter: dead\n" + at(Section::kDefaults, "  ");
}

class FileKeys : public PipelineFiles {
 protected:
  bool is_refused(const std::string& text) { return !load(text).pipeline; }

  // What the loader lists as known in a section.
  std::set<std::string> known_to_loader(Section section) {
    for (const Finding& f : load(file_with(section, "zzzz: 1")).findings) {
      if (f.code != "S0101") continue;
      std::istringstream words(f.expected.substr(std::string("one of ").size()));
      std::set<std::string> names;
      for (std::string word; std::getline(words, word, ',');)
        names.insert(word.substr(word.find_first_not_of(' ')));
      return names;
    }
    return {};
  }
};

TEST_F(FileKeys, AreThoseTheLoaderKnows) {
  for (const NamedSection& place : kSections) {
    std::set<std::string> names;
    for (const FileKey& key : keys_of(place.section)) names.insert(std::string(key.name));
    EXPECT_EQ(names, known_to_loader(place.section)) << place.name;
  }
}

TEST_F(FileKeys, BoundsAreThoseOfTheLoader) {
  int checked = 0;
  for (const NamedSection& place : kSections) {
    for (const FileKey& key : keys_of(place.section)) {
      const bool duration = key.form == Form::kDuration;
      if (!duration && key.form != Form::kCount) continue;
      const auto refused = [&](uint64_t value) {
        std::string line = fmt::format("{}: {}{}", key.name, value, duration ? "ms" : "");
        if (key.name == "shards") line += "\n  shard_by: symbol";
        // Whole, so that one bound does not meet the other's default.
        if (place.section == Section::kRetry && key.name == "min") line += "\n      max: 1d";
        if (place.section == Section::kRetry && key.name == "max") line += "\n      min: 1ms";
        return is_refused(file_with(place.section, line));
      };
      EXPECT_FALSE(refused(key.min)) << place.name << ' ' << key.name;
      EXPECT_FALSE(refused(key.max)) << place.name << ' ' << key.name;
      if (key.min > 0) {
        EXPECT_TRUE(refused(key.min - 1)) << place.name << ' ' << key.name;
      }
      if (key.max < UINT64_MAX) {
        EXPECT_TRUE(refused(key.max + 1)) << place.name << ' ' << key.name;
      }
      ++checked;
    }
  }
  EXPECT_GE(checked, 15);
}

TEST_F(FileKeys, DefaultsWrittenOutChangeNothing) {
  const auto meaning = [&](const std::string& text) {
    const Loaded loaded = load(text);
    EXPECT_TRUE(loaded.pipeline) << text;
    if (!loaded.pipeline) return std::string();
    const Pipeline& p = *loaded.pipeline;
    const StreamSpec& in = p.streams.at(0);
    const StageSpec& send = p.stages.at(0);
    return fmt::format("{} {} {} {} {} {} {} {} | {} {} {} {} | {} {} {} {} {} {} {} {} {} {}",
                       static_cast<int>(p.clock), p.seed, p.drain_timeout.count(),
                       static_cast<int>(p.engine.kind), static_cast<int>(p.engine.durability),
                       p.engine.group_interval.count(), p.engine.segment_bytes,
                       p.engine.checkpoint_bytes, in.unread, in.keep, in.lag_max, in.trim_hard,
                       send.batch, send.workers, send.deliveries_max, send.parked_max,
                       send.concurrency, send.claim_idle.count(), send.retry_min.count(),
                       send.retry_max.count(), send.call_slow.count(), send.call_max.count());
  };
  for (const NamedSection& place : kSections) {
    const std::string without = meaning(file_with(place.section, "# nothing"));
    for (const FileKey& key : keys_of(place.section)) {
      if (key.default_text.empty() || key.name == "external") continue;
      EXPECT_EQ(
          meaning(file_with(place.section, fmt::format("{}: {}", key.name, key.default_text))),
          without)
          << place.name << ' ' << key.name;
    }
  }
}

TEST_F(FileKeys, ChoicesAreThoseOfTheLoader) {
  for (const NamedSection& place : kSections) {
    for (const FileKey& key : keys_of(place.section)) {
      if (key.form != Form::kChoice) continue;
      std::istringstream words{std::string(key.choices)};
      for (std::string word; words >> word;) {
        std::string text = file_with(place.section, "# nothing");
        const auto written = text.find(fmt::format("{}: ", key.name));
        const std::string line = fmt::format("{}: {}", key.name, word);
        if (written != text.npos && key.needed)
          text.replace(written, text.find('\n', written) - written, line);
        else
          text = file_with(place.section, line + (word == "redis" ? "\n  url: redis://b" : ""));
        EXPECT_FALSE(is_refused(text)) << text;
      }
    }
  }
}

TEST_F(FileKeys, NeededOnesAreMissedByTheLoader) {
  for (const char* key : {"api", "pipeline", "streams", "stages"}) {
    EXPECT_TRUE(find_key(Section::kTop, key)->needed);
    std::string text = file_with(Section::kTop, "# nothing");
    text.replace(text.find(std::string(key) + ":"), std::string(key).size(), "zzzz");
    EXPECT_TRUE(is_refused(text)) << key;
  }
  EXPECT_EQ(std::ranges::count_if(keys_of(Section::kTop), &FileKey::needed), 4);
}

}  // namespace
}  // namespace sluice::graph
