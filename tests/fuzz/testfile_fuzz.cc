// Any bytes as a file of pipeline tests: findings with places, or tests.
#include "fuzz/fuzz.h"
#include "fuzz/home.h"
#include "graph/findings.h"
#include "graph/text.h"
#include "harness/test_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  static const fuzz::Home home;
  static const auto catalog = plugin::Catalog::scan(SLUICE_BINARY_DIR "/plugins");
  fuzz::require(catalog.is_ok() && !catalog->plugins().empty(), "plugins", "");
  const harness::ReadFile read = harness::read_test_file(
      home.write("trade.test.yaml", fuzz::text_of(data, size)), *catalog, home.scratch());
  bool refused = false;
  for (const graph::Finding& finding : read.findings) {
    const std::string text = graph::finding_text(finding);
    fuzz::require(finding.place.line >= 1 && finding.place.column >= 1, "no place", text);
    fuzz::require(graph::is_utf8(text), "not UTF-8", text);
    refused = refused || finding.severity == graph::Severity::kError;
  }
  fuzz::require(read.file.has_value() != refused, "refused", "neither or both");
  return 0;
}
