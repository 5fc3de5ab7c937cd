#include "cli/schema_gate.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/human.h"
#include "cli/json_writer.h"
#include "cli/store_access.h"
#include "graph/schema.h"
#include "runtime/input.h"
#include "stream/each_entry.h"

namespace sluice::cli {

namespace {

// Where the entries are and what they are held to.
struct Gate {
  std::unique_ptr<PipelineFile> file;           // null when only a schema file is named
  const graph::StreamSpec* source = nullptr;    // null: a file
  std::shared_ptr<const graph::Schema> schema;  // never null once the gate is open
};

// What the gate says of each entry, in the order they are read.
class Report {
 public:
  explicit Report(Common& common) : common_(common) {
    if (is_json()) json_.begin_object().key("offending").begin_array();
  }

  void count() { ++entries_; }

  void line_offends(uint64_t line, const graph::SchemaViolation& violation) {
    if (is_json()) json_.begin_object().member("line", line);
    offends("line " + std::to_string(line), violation, violation.text());
  }
  // A line that is no entry.
  void line_unreadable(uint64_t line, const std::string& why) {
    if (is_json()) json_.begin_object().member("line", line);
    offends("line " + std::to_string(line), {"", "", why}, why);
  }
  void entry_offends(const std::string& id, const graph::SchemaViolation& violation) {
    if (is_json()) json_.begin_object().member("id", id);
    offends(id, violation, violation.text());
  }

  int end(const std::string& source, const std::string& schema) {
    if (is_json()) {
      json_.end_array()
          .member("source", source)
          .member("schema", schema)
          .member("entries", entries_)
          .member("offending_count", offending_)
          .end_object();
      common_.out << json_.text() << '\n';
    } else {
      common_.out << source << " against " << schema << ": " << plural(entries_, "entry", "entries")
                  << ", "
                  << (offending_ == 0
                          ? "all fit"
                          : count_text(offending_) + (offending_ == 1 ? " offends" : " offend"))
                  << '\n';
    }
    return offending_ == 0 ? kFine : kFindings;
  }

 private:
  bool is_json() const { return common_.format == Format::kJson; }

  void offends(const std::string& which, const graph::SchemaViolation& violation,
               const std::string& text) {
    ++offending_;
    if (is_json())
      json_.member("field", violation.field)
          .member("value", violation.value)
          .member("rule", violation.rule)
          .end_object();
    else
      common_.out << bold(which, common_.out_style.color) << ": " << text << '\n';
  }

  Common& common_;
  JsonWriter json_;
  uint64_t entries_ = 0, offending_ = 0;
};

int refuse(Common& common, Exit exit, const std::string& text) {
  return fail(common, exit, Status(Code::kInvalid, text));
}

// The only stream that outsiders write and a schema is given for; null when there is no such one.
const graph::StreamSpec* only_external(const graph::Pipeline& pipeline) {
  const graph::StreamSpec* found = nullptr;
  for (const graph::StreamSpec& stream : pipeline.streams) {
    if (!stream.external || stream.schema == nullptr) continue;
    if (found != nullptr) return nullptr;
    found = &stream;
  }
  return found;
}

// The stream whose schema a file is held to; null after saying why there is none.
const graph::StreamSpec* stream_for_file(Common& common, const SchemaGateOptions& options,
                                         const graph::Pipeline& pipeline, int& exit) {
  if (options.stream.empty()) {
    const graph::StreamSpec* only = only_external(pipeline);
    if (only == nullptr)
      exit = refuse(common, kUsage,
                    pipeline.file +
                        " has not exactly one external stream with a schema: say which one the "
                        "entries are for with --stream");
    return only;
  }
  const graph::StreamSpec* named = find_stream(pipeline, options.stream);
  if (named == nullptr)
    exit = refuse(common, kUsage,
                  "--stream: no stream \"" + options.stream + "\" in " + pipeline.file);
  return named;
}

// nullopt after saying why; the command then ends with `exit`.
std::optional<Gate> open_gate(Common& common, const SchemaGateOptions& options, int& exit) {
  Gate gate;
  if (!options.schema.empty()) {
    auto schema = graph::Schema::load(options.schema);
    if (!schema) {
      exit = fail(common, kInvalidInput, schema.status());
      return std::nullopt;
    }
    gate.schema = std::move(*schema);
  }
  if (options.pipeline.empty()) {
    if (gate.schema != nullptr) return gate;
    exit = refuse(common, kUsage,
                  "nothing says which schema counts: add --pipeline FILE, or --schema FILE");
    return std::nullopt;
  }
  gate.file = open_pipeline(common, options.pipeline);
  if (gate.file == nullptr) {
    exit = kInvalidInput;
    return std::nullopt;
  }
  const graph::Pipeline* pipeline = &gate.file->pipeline;
  gate.source = find_stream(*pipeline, options.source);
  if (gate.schema != nullptr) return gate;
  const graph::StreamSpec* judged =
      gate.source != nullptr ? gate.source : stream_for_file(common, options, *pipeline, exit);
  if (judged == nullptr) return std::nullopt;
  if (judged->schema == nullptr) {
    exit = refuse(common, kInvalidInput,
                  "stream \"" + judged->key + "\" of " + pipeline->file +
                      " has no schema; name one with --schema FILE");
    return std::nullopt;
  }
  gate.schema = judged->schema;
  return gate;
}

Status check_file(Common& common, const std::string& path, const graph::Schema& schema,
                  Report& report) {
  SLUICE_ASSIGN(reader, runtime::LineReader::open(common.disk, path));
  for (uint64_t number = 1;; ++number) {
    SLUICE_ASSIGN(line, reader->next());
    if (!line) return Status::ok();
    if (line->text.find_first_not_of(" \t") == std::string_view::npos) continue;
    report.count();
    if (line->oversized) {
      report.line_unreadable(number, "longer than 1 MiB");
      continue;
    }
    const auto fields = runtime::parse_ndjson_line(line->text);
    if (!fields) {
      report.line_unreadable(number, fields.status().text());
    } else if (const auto violation = schema.check(fields->view())) {
      report.line_offends(number, *violation);
    }
  }
}

Status check_stream(Common& common, Gate& gate, Report& report) {
  const graph::EngineSpec engine = gate.file->pipeline.engine;
  const StorePlace place{std::move(gate.file), engine};
  for (uint32_t shard = 0; shard < engine.stores(); ++shard) {
    SLUICE_ASSIGN(store, open_for_reading(common, place, shard));
    const stream::StreamId stream = store->find_stream(gate.source->name);
    if (stream == 0) continue;  // nothing was ever written
    SLUICE_TRY(stream::each_entry(*store, stream, [&](const stream::Entry& entry) {
      report.count();
      if (const auto violation = gate.schema->check(entry.fields.view()))
        report.entry_offends(entry.id.text(), *violation);
    }));
  }
  return Status::ok();
}

}  // namespace

int run_schema_gate(Common& common, const SchemaGateOptions& options) {
  int exit = kFine;
  auto gate = open_gate(common, options, exit);
  if (!gate) return exit;
  Report report(common);
  const Status checked = gate->source != nullptr
                             ? check_stream(common, *gate, report)
                             : check_file(common, options.source, *gate->schema, report);
  if (checked.is_ok())
    return report.end(options.source == "-" ? "standard input" : options.source,
                      gate->schema->name());
  if (gate->source == nullptr && checked.code() == Code::kNotFound)
    return refuse(common, kUsage,
                  gate->file
                      ? "neither a stream of " + options.pipeline + " nor a file: " + options.source
                      : checked.text());
  return fail(common, checked);
}

void add_schema_gate(CLI::App& schema, Common& common) {
  auto options = std::make_shared<SchemaGateOptions>();
  CLI::App* command = schema.add_subcommand(
      "gate", "Check that entries of a file or a stream fit a schema, before it is deployed");
  command
      ->add_option("FILE|STREAM", options->source,
                   "NDJSON (- for standard input), or a stream of the pipeline by key or name")
      ->required();
  command->add_option("--pipeline", options->pipeline, "Pipeline file whose schemas count")
      ->option_text("FILE");
  command
      ->add_option("--stream", options->stream,
                   "Stream the entries of a file are for (default: the external one with a schema)")
      ->option_text("NAME");
  command->add_option("--schema", options->schema, "Schema file that counts instead")
      ->option_text("FILE");
  command->callback([&common, options] {
    common.action = [&common, options] { return run_schema_gate(common, *options); };
  });
}

}  // namespace sluice::cli
