#include "cli/why_command.h"

#include <CLI/CLI.hpp>

#include "base/iso_time.h"
#include "cli/human.h"
#include "cli/json_writer.h"
#include "cli/store_access.h"

namespace sluice::cli {

namespace {

int run_why(Common& common, const std::string& file, const std::string& id) {
  bool found = false;
  const int exit = look_as_left(
      common, file, "why",
      [&](Common& to, const graph::Pipeline& pipeline, const stream::Store& store) -> Result<int> {
        SLUICE_ASSIGN(story, audit::tell(pipeline, store, id));
        if (story.happenings.empty()) return kFine;
        found = true;
        to.out << (to.format == Format::kJson ? why_json(story) : why_text(story, to.out_style));
        return kFine;
      });
  if (found || exit != kFine) return exit;
  return fail(common, kFindings,
              Status(Code::kNotFound,
                     "nothing in the store has the id \"" + id +
                         "\"; expected the id of a decision's entry, a plan id, a trace or "
                         "correlation id, or a client order id. What is trimmed is not known "
                         "any more"));
}

void add_ids(std::string& text, const char* one, const char* many,
             const std::vector<std::string>& ids) {
  constexpr size_t kShownMax = 5;
  if (ids.empty()) return;
  text += "  ";
  text += ids.size() == 1 ? one : many;
  for (size_t i = 0; i < ids.size() && i < kShownMax; ++i) text += (i == 0 ? " " : ", ") + ids[i];
  if (ids.size() > kShownMax) text += " and " + count_text(ids.size() - kShownMax) + " more";
  text += '\n';
}

}  // namespace

std::string why_text(const audit::Story& story, const Style& style) {
  std::string text = bold(story.asked, style.color) + '\n';
  add_ids(text, "decision", "decisions", story.decisions);
  add_ids(text, "plan", "plans", story.plans);
  add_ids(text, "order", "orders", story.orders);
  const WallTime began = story.happenings.front().at;
  text += "\n" + iso_time_text(began) + '\n';
  Table table({{"after", Align::kRight}, {"who"}, {"what"}});
  for (const audit::Happening& happening : story.happenings) {
    table.add_row({age_text(happening.at - began), happening.who, happening.text});
    for (const std::string& value : happening.values) table.add_row({"", "", "  " + value});
    if (!happening.policy.empty()) table.add_row({"", "", "  policy " + happening.policy});
  }
  text += table.text(style) + '\n';
  const Micros took = story.happenings.back().at - began;
  if (story.endings.empty()) {
    text += "It has not ended yet.\n";
  } else if (story.endings.size() == 1) {
    text += "In the end: " + story.endings.front() + ", " + age_text(took) + " after it began.\n";
  } else {
    text += "In the end:\n";
    for (const std::string& ending : story.endings) text += "  " + ending + '\n';
  }
  return text;
}

std::string why_json(const audit::Story& story) {
  JsonWriter json;
  const auto list = [&json](const char* name, const std::vector<std::string>& items) {
    json.key(name).begin_array();
    for (const std::string& item : items) json.value(item);
    json.end_array();
  };
  json.begin_object().member("asked", story.asked);
  list("decisions", story.decisions);
  list("plans", story.plans);
  list("orders", story.orders);
  list("endings", story.endings);
  json.key("happenings").begin_array();
  for (const audit::Happening& happening : story.happenings) {
    json.begin_object()
        .member("at", iso_time_text(happening.at))
        .member("at_us", to_us(happening.at));
    json.member("who", happening.who).member("text", happening.text);
    list("values", happening.values);
    json.member("policy", happening.policy).member("stream", happening.stream);
    json.member("id", happening.id.text()).end_object();
  }
  json.end_array().end_object();
  return std::string(json.text()) + '\n';
}

void add_why(CLI::App& app, Common& common) {
  auto file = std::make_shared<std::string>();
  auto id = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("why", "The whole story of one decision, plan or order, in order of time");
  command->add_option("FILE", *file, "Pipeline file")->required();
  command
      ->add_option(
          "ID", *id,
          "Entry id of a decision or proposal, plan id, trace or correlation id, or client "
          "order id")
      ->required();
  command->callback([&common, file, id] {
    common.action = [&common, file, id] { return run_why(common, *file, *id); };
  });
}

}  // namespace sluice::cli
