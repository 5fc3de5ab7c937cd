#include "cli/schema_gate.h"

#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

#include "fixtures/program.h"
#include "store_fixture.h"

namespace sluice::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* kSchema = R"({"x-sluice-envelope": "payload", "type": "object",
  "required": ["symbol"], "properties": {"symbol": {"type": "string", "pattern": "^[A-Z]+$"}}})";

class SchemaGate : public StoreTest {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(path("schemas"));
    write("schemas/intent.json", kSchema);
    write("schemas/plan.json",
          R"({"x-sluice-envelope": "fields", "type": "object", "required": ["plan_id"]})");
    write("small.yaml", "api: sluice/v1\npipeline: small\nengine: { kind: embedded, path: \"" +
                            path("store") + R"(" }
clock: wall
streams:
  intents: { name: trade.intent, external: true, schema: intent }
  plans: { name: trade.plan, unread: true, schema: plan }
  notes: { name: notes, external: true, unread: true }
  dead: { name: dead }
stages:
  forward: { use: forward, from: intents, to: { out: plans }, group: forward }
defaults: { dead_letter: dead }
)");
  }

  void write(const std::string& name, const std::string& text) {
    std::ofstream(path(name), std::ios::binary) << text;
  }

  int gate(SchemaGateOptions options, Format format = Format::kHuman) {
    std::ostringstream out, err;
    Common common{.out = out, .err = err, .disk = system_disk(), .clock = clock_};
    common.format = format;
    common.plugins_folder = SLUICE_CLI_TEST_PLUGINS;
    const int exit = run_schema_gate(common, options);
    out_ = out.str();
    err_ = err.str();
    return exit;
  }
  int gate_file(const std::string& text, Format format = Format::kHuman) {
    write("in.ndjson", text);
    return gate({.source = path("in.ndjson"), .pipeline = path("small.yaml")}, format);
  }

  std::string out_, err_;
};

TEST_F(SchemaGate, EntriesThatAllFitEndWithZero) {
  EXPECT_EQ(gate_file("{\"payload\": {\"symbol\": \"A\"}}\n\n{\"data\": {\"symbol\": \"B\"}}\n"),
            kFine);
  EXPECT_EQ(out_, path("in.ndjson") + " against intent: 2 entries, all fit\n");
  EXPECT_EQ(gate_file(""), kFine);
  EXPECT_THAT(out_, HasSubstr("0 entries"));
}

TEST_F(SchemaGate, EachOffendingLineIsNamedWithFieldAndRule) {
  EXPECT_EQ(gate_file("{\"payload\": {\"symbol\": \"A\"}}\n"
                      "\n"
                      "{\"payload\": {\"symbol\": \"a\"}}\n"
                      "{\"payload\": {}}\n"
                      "no JSON\n"
                      "{\"symbol\": \"A\"}"),
            kFindings);
  EXPECT_EQ(out_,
            "line 3: field \"symbol\": value \"a\" breaks pattern ^[A-Z]+$\n"
            "line 4: field \"symbol\": missing, breaks required\n"
            "line 5: not JSON at byte 2: Invalid value.\n"
            "line 6: field \"payload\": missing, breaks required\n" +
                path("in.ndjson") + " against intent: 5 entries, 4 offend\n");
}

TEST_F(SchemaGate, JsonFormHasTheSame) {
  EXPECT_EQ(gate_file("{\"payload\": {\"symbol\": \"a\"}}\n[]\n", Format::kJson), kFindings);
  EXPECT_EQ(out_, R"({"offending":[{"line":1,"field":"symbol","value":"a",)"
                  R"("rule":"pattern ^[A-Z]+$"},{"line":2,"field":"","value":"",)"
                  R"("rule":"expected a JSON object"}],"source":")" +
                      path("in.ndjson") +
                      R"(","schema":"intent","entries":2,"offending_count":2})" + "\n");
}

TEST_F(SchemaGate, LineOfMoreThanAMebibyteOffendsAndTheNextIsRead) {
  EXPECT_EQ(gate_file("{\"payload\": \"" + std::string(3 << 20, 'x') + "\"}\n{}\n"), kFindings);
  EXPECT_THAT(out_, StartsWith("line 1: longer than 1 MiB\nline 2: "));
}

TEST_F(SchemaGate, FileIsHeldToTheNamedStreamOrSchema) {
  write("in.ndjson", "{\"plan_id\": \"1\"}\n");
  SchemaGateOptions options{.source = path("in.ndjson"), .pipeline = path("small.yaml")};
  EXPECT_EQ(gate(options), kFindings);
  options.stream = "plans";
  EXPECT_EQ(gate(options), kFine);
  EXPECT_THAT(out_, HasSubstr(" against plan: 1 entry"));
  EXPECT_EQ(gate({.source = path("in.ndjson"), .schema = path("schemas/intent.json")}), kFindings);
}

TEST_F(SchemaGate, StreamOfTheStoreIsReadWhileARunHasIt) {
  open();
  append("trade.intent", {{"payload", R"({"symbol": "A"})"}});
  const EntryId bad = append("trade.intent", {{"payload", R"({"symbol": 5})"}});
  for (const char* name : {"intents", "trade.intent"}) {
    EXPECT_EQ(gate({.source = name, .pipeline = path("small.yaml")}), kFindings);
    EXPECT_EQ(out_, bad.text() + ": field \"symbol\": value \"5\" breaks type string\n" + name +
                        " against intent: 2 entries, 1 offends\n");
  }
  EXPECT_EQ(gate({.source = "intents",
                  .pipeline = path("small.yaml"),
                  .schema = path("schemas/plan.json")}),
            kFindings);
  EXPECT_THAT(out_, HasSubstr("2 entries, 2 offend\n"));
  EXPECT_EQ(gate({.source = "intents", .pipeline = path("small.yaml")}, Format::kJson), kFindings);
  EXPECT_THAT(out_, HasSubstr("{\"id\":\"" + bad.text() + "\",\"field\":\"symbol\""));
}

TEST_F(SchemaGate, MoreEntriesThanAreReadAtOnceAreAllChecked) {
  open();
  for (int i = 0; i < 1'001; ++i) append("trade.intent", {{"n", std::to_string(i)}});
  EXPECT_EQ(gate({.source = "intents", .pipeline = path("small.yaml")}), kFindings);
  EXPECT_THAT(out_, HasSubstr("1,001 entries, 1,001 offend\n"));
}

TEST_F(SchemaGate, WhatCannotBeAskedIsSaid) {
  struct Row {
    SchemaGateOptions options;
    int exit;
    const char* text;
  };
  write("in.ndjson", "{}\n");
  const std::string file = path("in.ndjson"), pipeline = path("small.yaml");
  const Row rows[] = {
      {{.source = file}, kUsage, "add --pipeline FILE, or --schema FILE"},
      {{.source = "nothing", .pipeline = pipeline}, kUsage, "neither a stream of "},
      {{.source = file, .pipeline = pipeline, .stream = "no"}, kUsage, "no stream \"no\" in "},
      {{.source = "notes", .pipeline = pipeline}, kInvalidInput, "\"notes\" of "},
      {{.source = file, .pipeline = pipeline, .stream = "dead"}, kInvalidInput, "has no schema"},
      {{.source = file, .schema = path("none.json")}, kInvalidInput, "none.json"},
      {{.source = file, .schema = pipeline}, kInvalidInput, "small.yaml:1"},
      {{.source = file, .pipeline = path("none.yaml")}, kInvalidInput, "none.yaml"},
      {{.source = "intents", .pipeline = pipeline}, kStore, "there is no store in "}};
  for (const Row& row : rows) {
    EXPECT_EQ(gate(row.options), row.exit) << row.text;
    EXPECT_THAT(err_, HasSubstr(row.text));
    EXPECT_EQ(out_, "");
  }
}

// Both stand on one word of the command line.
TEST_F(SchemaGate, ProgramStillPrintsTheSchemaOfPipelineFilesWithoutTheWordGate) {
  write("in.ndjson", "{}\n");
  const auto run = [&](std::vector<std::string> arguments) {
    ::sluice::testing::Program program(arguments, folder_,
                                       {"SLUICE_PLUGINS=" SLUICE_CLI_TEST_PLUGINS});
    return program.wait();
  };
  const auto gated =
      run({"schema", "gate", path("in.ndjson"), "--schema", path("schemas/intent.json")});
  EXPECT_EQ(gated.exit_code, kFindings) << gated.err;
  EXPECT_THAT(gated.out, HasSubstr("1 entry, 1 offends"));
  const auto printed = run({"schema"});
  EXPECT_EQ(printed.exit_code, kFine) << printed.err;
  EXPECT_THAT(printed.out, StartsWith("{\n  \"$schema\""));
}

}  // namespace
}  // namespace sluice::cli
