// Any bytes as what a child says of a library: not whole, or a description that goes there and back
// unchanged.
#include "fuzz/fuzz.h"
#include "plugin/wire.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  const std::string_view bytes = fuzz::text_of(data, size);
  if (const auto described = plugin::description_from(bytes)) {
    const std::string again = plugin::to_bytes(*described);
    fuzz::require(again.size() <= bytes.size(), "grown", "");
    const auto twice = plugin::description_from(again);
    fuzz::require(twice && plugin::to_bytes(*twice) == again, "changed on its way", "");
  }
  if (const auto complaints = plugin::complaints_from(bytes)) {
    const auto again = plugin::complaints_from(plugin::to_bytes(*complaints));
    fuzz::require(again && again->size() == complaints->size(), "changed on its way", "");
  }
  return 0;
}
