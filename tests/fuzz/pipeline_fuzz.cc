// Any bytes as a pipeline file: findings with places, or a pipeline that can be drawn.
#include <algorithm>

#include "fuzz/fuzz.h"
#include "fuzz/home.h"
#include "graph/draw.h"
#include "graph/findings.h"
#include "graph/pipeline.h"
#include "graph/text.h"

namespace sluice {
namespace {

const plugin::Catalog& catalog() {
  static const plugin::Catalog scanned = [] {
    auto found = plugin::Catalog::scan(SLUICE_BINARY_DIR "/plugins");
    fuzz::require(found.is_ok() && !found->plugins().empty(), "plugins", found.status().text());
    return std::move(found).value();
  }();
  return scanned;
}

void require_sound(const graph::Finding& finding) {
  const std::string text = graph::finding_text(finding);
  fuzz::require(finding.place.line >= 1 && finding.place.column >= 1, "no place", text);
  fuzz::require(!finding.place.file.empty() && !finding.text.empty(), "no file or text", text);
  fuzz::require(std::ranges::any_of(graph::fault_table(),
                                    [&](const graph::FaultInfo& info) {
                                      return graph::fault_code(info.fault) == finding.code;
                                    }),
                "unknown code", text);
  fuzz::require(graph::is_utf8(text), "not UTF-8", text);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  static const fuzz::Home home;
  graph::LoadOptions options;
  options.environment = {{"SLUICE_DATA", "data"}, {"EMPTY", ""}};
  options.ask_plugins = false;  // a process for each input would be most of the work
  const graph::Loaded loaded =
      graph::load_pipeline(home.write("fuzz.yaml", fuzz::text_of(data, size)), catalog(), options);
  bool refused = false;
  for (const graph::Finding& finding : loaded.findings) {
    require_sound(finding);
    refused = refused || finding.severity == graph::Severity::kError;
  }
  fuzz::require(loaded.pipeline.has_value() != refused, "refused", "neither or both");
  if (!loaded.pipeline) return 0;
  const graph::DrawOptions drawing;
  const graph::Picture picture = graph::picture(*loaded.pipeline, drawing);
  fuzz::require(!graph::draw_dot(picture).empty(), "dot", "nothing drawn");
  fuzz::require(!graph::draw_mermaid(picture).empty(), "mermaid", "nothing drawn");
  fuzz::require(!graph::draw_ascii(*loaded.pipeline, drawing).empty(), "ascii", "nothing drawn");
  return 0;
}
