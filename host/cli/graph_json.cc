#include "cli/graph_json.h"

#include "cli/json_writer.h"

namespace sluice::cli {

namespace {

std::optional<std::string> some(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

std::string_view type_name(const graph::StageSpec& stage) {
  if (stage.kind == nullptr) return "stage";
  if (stage.kind->type == plugin::KindType::kSource) return "source";
  return stage.kind->type == plugin::KindType::kExternal ? "external" : "stage";
}

void add_stage(JsonWriter& json, const graph::Pipeline& pipeline, const graph::StageSpec& stage) {
  json.begin_object().member("name", stage.name).member("use", stage.use());
  json.member("type", type_name(stage));
  json.member("group", stage.inputs.empty() ? std::nullopt : std::optional(stage.group));
  json.member("policy", some(stage.policy_path)).member("order_by", stage.order_by);
  json.member("batch", stage.batch).member("workers", stage.workers);
  json.member("deliveries_max", stage.deliveries_max);
  json.member("dead_letter", pipeline.streams[stage.dead_letter].key).end_object();
}

void add_stream(JsonWriter& json, const graph::StreamSpec& stream) {
  json.begin_object().member("key", stream.key).member("name", stream.name);
  json.member("external", stream.external).member("unread", stream.unread);
  json.member("schema", stream.schema ? std::optional(stream.schema->name()) : std::nullopt);
  json.member("terminal", stream.account.as == graph::AccountSpec::As::kTerminal).end_object();
}

void add_edges(JsonWriter& json, const graph::Pipeline& pipeline, const graph::StageSpec& stage) {
  const auto add = [&](const graph::Wire& wire, bool in) {
    json.begin_object().member("stage", stage.name).member("direction", in ? "in" : "out");
    json.member("port", wire.port).member("stream", pipeline.streams[wire.stream].key);
    json.member("group", in ? std::optional(stage.group) : std::nullopt);
    json.member("feedback", wire.feedback).end_object();
  };
  for (const graph::Wire& wire : stage.inputs) add(wire, true);
  for (const graph::Wire& wire : stage.outputs) add(wire, false);
}

void add_keys(JsonWriter& json, const graph::Pipeline& pipeline, const graph::KeyFlow& flow) {
  const auto add = [&](std::string_view name, const std::vector<size_t>& stages) {
    json.key(name).begin_array();
    for (const size_t stage : stages) json.value(pipeline.stages[stage].name);
    json.end_array();
  };
  json.begin_object().member("pattern", flow.pattern).member("counter", flow.counter);
  json.member("from_outside", flow.is_from_outside());
  add("writers", flow.writers);
  add("readers", flow.readers);
  json.end_object();
}

}  // namespace

std::string graph_json(const graph::Pipeline& pipeline, graph::KeysShown keys) {
  JsonWriter json;
  json.begin_object().member("pipeline", pipeline.name).member("file", pipeline.file);
  json.member("engine", graph::engine_text(pipeline)).key("stages").begin_array();
  for (const graph::StageSpec& stage : pipeline.stages) add_stage(json, pipeline, stage);
  json.end_array().key("streams").begin_array();
  for (const graph::StreamSpec& stream : pipeline.streams) add_stream(json, stream);
  json.end_array().key("edges").begin_array();
  for (const graph::StageSpec& stage : pipeline.stages) add_edges(json, pipeline, stage);
  json.end_array().key("keys").begin_array();
  for (const graph::KeyFlow& flow : graph::shown_flows(pipeline, keys))
    add_keys(json, pipeline, flow);
  json.end_array().end_object();
  return std::string(json.text());
}

std::string differences_json(const graph::Pipeline& before, const graph::Pipeline& after,
                             const std::vector<graph::Difference>& differences) {
  JsonWriter json;
  json.begin_object().member("before", before.file).member("after", after.file);
  json.key("differences").begin_array();
  for (const graph::Difference& difference : differences) {
    json.begin_object().member("change", graph::change_name(difference.change));
    json.member("of", graph::of_name(difference.of)).member("name", difference.name);
    json.member("part", some(difference.part)).member("before", some(difference.before));
    json.member("after", some(difference.after)).end_object();
  }
  json.end_array().end_object();
  return std::string(json.text());
}

}  // namespace sluice::cli
