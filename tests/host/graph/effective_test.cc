// The effective file must be the file: loaded again, it gives the same pipeline, whatever was
// written and whatever was left to the defaults. Random files hold that; single tests hold what is
// masked, how odd texts are quoted and where each value says it comes from.
#include "graph/effective.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <rapidcheck/gtest.h>

#include <filesystem>
#include <string>

#include "host/graph/pipeline_fixture.h"

namespace sluice::graph {
namespace {

using testing::HasSubstr;
using testing::Not;

// Everything of a pipeline that has an effect, as text; places are left out.
std::string meaning(const Pipeline& p) {
  std::string out =
      fmt::format("{} clock {} seed {} engine {} {} {} {} {} {} {} drain {}\n", p.name,
                  static_cast<int>(p.clock), p.seed, static_cast<int>(p.engine.kind),
                  (std::filesystem::current_path() / p.engine.path).string(), p.engine.url,
                  static_cast<int>(p.engine.durability), p.engine.group_interval.count(),
                  p.engine.segment_bytes, p.engine.checkpoint_bytes, p.drain_timeout.count());
  for (const StreamSpec& s : p.streams)
    out += fmt::format("stream {} {} {} {} {} {} {} {} {} {} {} {} {}\n", s.key, s.name,
                       s.schema ? s.schema->name() : "-", s.external, s.unread, s.keep, s.trim_hard,
                       s.lag_max, static_cast<int>(s.account.as), s.account.label,
                       s.account.state_field, s.account.reason_field, s.account.since_field);
  for (const StageSpec& s : p.stages) {
    out += fmt::format("stage {} {} {} {} {} {} {} {} {} {} {}\n", s.name, s.kind->name, s.batch,
                       s.order_by.value_or("-"), s.policy_path, s.deliveries_max, s.dead_letter,
                       s.retry_min.count(), s.retry_max.count(), s.call_slow.count(),
                       s.call_max.count());
    if (s.kind->type != plugin::KindType::kSource)  // it reads no stream
      out += fmt::format("  reads as {} {} {} {}\n", s.group, s.workers, s.claim_idle.count(),
                         s.parked_max);
    if (s.kind->type == plugin::KindType::kExternal)
      out += fmt::format("  acts {}\n", s.concurrency);
    for (const Wire& w : s.inputs)
      out += fmt::format("  in {} {} {}\n", w.port, w.stream, w.feedback);
    for (const Wire& w : s.outputs) out += fmt::format("  out {} {}\n", w.port, w.stream);
    for (const auto& [name, v] : s.settings)
      out += fmt::format(
          "  with {} {} {} {} [{}]\n", name,
          v.type == plugin::ValueType::kText || v.type == plugin::ValueType::kDecimal ? v.text : "",
          v.integer, v.number, fmt::join(v.list, "|"));
  }
  return out;
}

class EffectiveFile : public PipelineFiles {
 protected:
  Effective effective(std::string_view text) {
    Loaded loaded = load(text);
    for (const Finding& f : loaded.findings) {
      if (f.severity == Severity::kError) ADD_FAILURE() << finding_text(f) << text;
    }
    if (!loaded.pipeline) return {};
    meaning_ = meaning(*loaded.pipeline);
    return effective_file(*loaded.pipeline, *loaded.tree);
  }

  // The printed file, loaded from another folder: its pipeline, and what it prints in turn.
  std::pair<std::string, std::string> again(const std::string& printed) {
    write("elsewhere/again.yaml", printed);
    LoadOptions options;
    options.environment = variables_;
    options.redis = true;
    options.ask_plugins = false;
    const Loaded loaded = load_pipeline(folder_ + "/elsewhere/again.yaml", test_catalog(), options);
    for (const Finding& f : loaded.findings) {
      if (f.severity == Severity::kError) ADD_FAILURE() << finding_text(f) << printed;
    }
    if (!loaded.pipeline) return {};
    return {meaning(*loaded.pipeline),
            effective_yaml(effective_file(*loaded.pipeline, *loaded.tree), false)};
  }

  void expect_same(std::string_view text) {
    const Effective root = effective(text);
    const std::string plain = effective_yaml(root, false);
    const auto [pipeline, printed] = again(plain);
    EXPECT_EQ(pipeline, meaning_) << text << "\n---\n" << plain;
    EXPECT_EQ(printed, plain);
    EXPECT_EQ(again(effective_yaml(root, true)).first, meaning_);
  }

  std::string meaning_;  // of the file printed last
};

// A pipeline of every kind; `more` are keys of the stage `tuned`, `settings` its settings.
std::string file_with(const std::string& top, const std::string& stream, const std::string& more,
                      const std::string& settings, const std::string& defaults) {
  return "api: sluice/v1\npipeline: small\n" + top +
         "streams:\n  in: { external: true }\n  mid:\n    schema: order\n" + stream +
         "  out: { unread: true }\n  loop: { external: true }\n  dead: {}\n"
         "stages:\n  tuned:\n    use: flow.tuned\n    from: in\n    to: { out: mid }\n" +
         more + "    with:\n      limit: 3\n" + settings +
         "  send:\n    use: flow.send\n    from: { in: mid }\n    to: { result: out }\n"
         "  feed:\n    use: flow.feed\n    to: { out: mid }\n"
         "  join:\n    use: flow.join\n    from: { left: loop, right: { stream: out, feedback: "
         "true } }\n"
         "    to: { both: loop2 }\n"
         "defaults:\n  dead_letter: dead\n" +
         defaults;
}

std::string small(const std::string& settings = "", const std::string& top = "") {
  std::string text = file_with(top, "", "", settings, "");
  text.replace(text.find("  dead: {}"), 10, "  loop2: { unread: true }\n  dead: {}");
  return text;
}

RC_GTEST_FIXTURE_PROP(EffectiveFile, LoadedAgainIsTheSamePipeline, ()) {
  write("lua/tuned.lua", "return { ttl = 30 * s }\n");
  const auto some = [](std::initializer_list<std::string> lines) {
    std::string out;
    for (const std::string& line : lines)
      if (*rc::gen::arbitrary<bool>()) out += line + '\n';
    return out;
  };
  const auto count = [](int min, int max) {
    return std::to_string(*rc::gen::inRange(min, max + 1));
  };
  const std::string common[] = {"batch: " + count(1, 10'000),
                                "workers: " + count(1, 256),
                                "deliveries_max: " + count(1, 1'000),
                                "claim_idle: " + count(100, 5'000) + "ms",
                                "parked_max: \"" + count(1, 1'000'000) + "\"",
                                "retry: { min: " + count(1, 99) + "ms }",
                                "concurrency: " + count(1, 1'024)};
  std::string stage, defaults;
  for (const std::string& line : common) {
    stage += some({"    " + line});
    defaults += some({"  " + line});
  }
  variables_ = {{"DATA", "data/here"}, {"LABEL", "from \"outside\""}};
  std::string text = file_with(
      some({"clock: recorded", "seed: " + count(0, 1'000'000), "drain_timeout: 2m",
            *rc::gen::element<std::string>(
                "engine: { path: \"${DATA}\", durability: os }", "engine: { durability: group }",
                "engine: { path: \"${NONE:-x}/y\", durability: commit }", "engine:")}),
      some({"    name: quantum:stream:mid", "    keep: " + count(0, 100'000), "    trim: hard",
            "    lag_max: " + count(1, 1'000),
            "    account: { as: milestone, label: \"no: #1\" }"}),
      stage + some({"    group: \"007\"", "    order_by: symbol", "    policy: lua/tuned.lua"}),
      some({"      mode: fast", "      label: \"${LABEL}, ${NONE:-yes}\"", "      share: 0.25",
            "      wait: 90000ms", "      symbols: [BTC, \"a, b\", \"null\", \"12:30\"]",
            "      dry: true", "      prices: data/prices"}),
      defaults);
  text.replace(text.find("  dead: {}"), 10, "  loop2: { unread: true }\n  dead: {}");
  expect_same(text);
  RC_ASSERT(!HasFailure());
}

TEST_F(EffectiveFile, OddTextsComeBackAsTheyWere) {
  for (const std::string text : {"null",      "~",
                                 "yes",       "012",
                                 "12:30:00",  "1e3",
                                 "- a",       "a: b",
                                 "a #b",      "#a",
                                 "{a}",       "[a",
                                 "*a",        "&a",
                                 "!a",        "%a",
                                 "@a",        "`a",
                                 "'a'",       "\\\"a\\\\",
                                 "a\\nb\\tc", "\\x01\\x7f",
                                 "",          " a ",
                                 "---",       "\xC3\xA4\xE2\x82\xAC",
                                 ":",         "a:",
                                 "?",         "|",
                                 ">"}) {
    expect_same(small("      label: \"" + text + "\"\n"));
    expect_same(small("      symbols: [\"" + text + "\", x]\n"));
  }
}

TEST_F(EffectiveFile, EveryKeyWithADefaultIsFilledIn) {
  const std::string yaml = effective_yaml(effective(small()), true);
  for (const char* line :
       {"\nclock: auto  # default\n", "\nseed: 1  # default\n", "\n  kind: embedded  # default\n",
        "\n  durability: group 5ms  # default\n", "\ndrain_timeout: 10s  # default\n",
        "\n    batch: 100  # default\n", "\n    dead_letter: dead  # from defaults\n",
        "\n      share: 0.5  # default of flow.tuned\n",
        "\n      symbols: []  # default of flow.tuned\n", "\n    group: tuned  # default\n",
        "\n      min: 100ms  # default\n", "\n    external: false  # default\n",
        "\n      limit: 3\n"})
    EXPECT_THAT(yaml, HasSubstr(line));
  EXPECT_THAT(yaml, Not(HasSubstr("defaults:")));
  EXPECT_EQ(effective_yaml(effective(small()), false).find('#'), std::string::npos);
}

TEST_F(EffectiveFile, KeysThatSayNothingToTheKindAreLeftOut) {
  const Effective root = effective(small());
  EXPECT_EQ(root.find("stages.tuned.concurrency"), nullptr);
  EXPECT_NE(root.find("stages.send.concurrency"), nullptr);
  EXPECT_EQ(root.find("stages.feed.workers"), nullptr);
  EXPECT_NE(root.find("stages.feed.batch"), nullptr);
}

TEST_F(EffectiveFile, SecretIsTheAbsolutePathOfItsFile) {
  write("keys/api", "s3cr3t\n");
  const Effective root = effective(small("      api_secret: { file: keys/api }\n"));
  const Effective* file = root.find("stages.tuned.with.api_secret.file");
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->text, folder_ + "/keys/api");
  EXPECT_THAT(effective_yaml(root, true), Not(HasSubstr("s3cr3t")));
  expect_same(small("      api_secret: { file: keys/api }\n"));
}

TEST_F(EffectiveFile, PasswordOfAUrlIsMaskedAndTheVariableKept) {
  variables_ = {{"REDIS_URL", "redis://me:s3cr3t@host:6379/0"}};
  const std::string text = small("", "engine: { kind: redis, url: \"${REDIS_URL}\" }\n");
  const std::string yaml = effective_yaml(effective(text), true);
  EXPECT_THAT(yaml, Not(HasSubstr("s3cr3t")));
  EXPECT_THAT(yaml, HasSubstr("url: \"${REDIS_URL}\"  # masked: redis://me:***@host:6379/0\n"));
  EXPECT_EQ(again(yaml).first, meaning_);
}

TEST_F(EffectiveFile, VariableThatHoldsAVariableIsNotReplacedTwice) {
  variables_ = {{"LABEL", "${HOME}"}};
  const std::string text = small("      label: \"${LABEL}\"\n");
  EXPECT_EQ(again(effective_yaml(effective(text), false)).first, meaning_);
}

TEST_F(EffectiveFile, CommentOfAValueWithLineEndsStaysOneLine) {
  variables_ = {{"LABEL", "x"}};
  expect_same(small("      label: \"${LABEL}\\nstages: {}\"\n"));
}

TEST(WithoutPasswords, MasksEachUrlAndLeavesTheRest) {
  EXPECT_EQ(without_passwords("a://u:p@h/x b://:q@i"), "a://u:***@h/x b://:***@i");
  EXPECT_EQ(without_passwords("a://u:p@q@h"), "a://u:***@h");
  for (const char* text : {"", "a://h:6379", "a://u@h", "me:you@there", "a://", "a://h/u:p@x"})
    EXPECT_EQ(without_passwords(text), text);
}

TEST_F(EffectiveFile, OriginsNamePlaceVariableAndWhatElseWouldHold) {
  variables_ = {{"DATA", "/data"}};
  std::string text = small("      share: 0.25\n", "engine: { path: \"${DATA}\" }\n");
  text += "  batch: 7\n";
  text.replace(text.find("    with:"), 0, "    batch: 9\n");
  const Effective root = effective(text);

  const Effective* path = root.find("engine.path");
  ASSERT_NE(path, nullptr);
  EXPECT_EQ(path->origin.kind, Origin::Kind::kFile);
  EXPECT_EQ(path->origin.place.line, 3);
  EXPECT_EQ(path->origin.place.column, 17);
  EXPECT_EQ(path->origin.written, "${DATA}");
  ASSERT_EQ(path->origin.variables.size(), 1u);
  EXPECT_TRUE(path->origin.variables[0].set);
  EXPECT_EQ(path->otherwise->text, folder_ + "/var/small");

  const Effective* batch = root.find("stages.tuned.batch");
  EXPECT_EQ(batch->text, "9");
  EXPECT_EQ(batch->otherwise->text, "7");
  EXPECT_EQ(batch->otherwise->origin.kind, Origin::Kind::kDefaults);
  EXPECT_EQ(root.find("stages.send.batch")->origin.kind, Origin::Kind::kDefaults);
  EXPECT_EQ(root.find("stages.send.batch")->otherwise->text, "100");

  const Effective* share = root.find("stages.tuned.with.share");
  EXPECT_EQ(share->otherwise->text, "0.5");
  EXPECT_EQ(share->otherwise->origin.plugin, "flow.tuned 1.0.0");
  EXPECT_EQ(root.find("stages.tuned.with.wait")->origin.kind, Origin::Kind::kPlugin);
  EXPECT_EQ(root.find("stages.tuned.workers")->origin.kind, Origin::Kind::kHost);
}

TEST_F(EffectiveFile, NamesWithDotsAreFound) {
  std::string text = small();
  for (size_t at = text.find("mid"); at != text.npos; at = text.find("mid", at + 5))
    text.replace(at, 3, "a.mid");
  const Effective root = effective(text);
  ASSERT_NE(root.find("streams.a.mid.keep"), nullptr);
  EXPECT_EQ(root.find("streams.a.mid.keep")->text, "0");
  EXPECT_EQ(root.find("streams.a"), nullptr);
  EXPECT_EQ(root.find("streams.a.mid.kee"), nullptr);
}

}  // namespace
}  // namespace sluice::graph
