// Any bytes as the short texts of files, commands and messages: nothing, or a value that its own
// text reads back.
#include "base/entry_id.h"
#include "base/iso_time.h"
#include "fuzz/fuzz.h"
#include "graph/listen_address.h"
#include "graph/text.h"
#include "plugin/catalog.h"
#include "redis/url.h"
#include "sluice/decimal.h"
#include "stream/fields.h"

namespace sluice {
namespace {

void read_url(std::string_view text) {
  const auto target = redis::parse_url(text);
  if (!target) {
    // Any part of it may be a password.
    fuzz::require(graph::is_utf8(target.status().text()), "not UTF-8", target.status().text());
    return;
  }
  fuzz::require(!target->endpoints.empty(), "nowhere", text);
  for (const redis::Endpoint& endpoint : target->endpoints)
    fuzz::require(endpoint.host.empty() != endpoint.path.empty() && !endpoint.text().empty(),
                  "neither host nor path", text);
}

void read_values(std::string_view text) {
  using plugin::ValueType;
  for (const ValueType type :
       {ValueType::kText, ValueType::kInteger, ValueType::kNumber, ValueType::kBoolean,
        ValueType::kDecimal, ValueType::kDuration, ValueType::kList}) {
    plugin::Param param;
    param.name = "p";
    param.type = type;
    const auto value = plugin::parse_value(param, text);
    if (!value) fuzz::require(!value.status().text().empty(), "no reason", text);
  }
  if (const auto us = plugin::parse_duration(text))
    fuzz::require(plugin::parse_duration(plugin::duration_text(*us)) == us, "duration", text);
}

void read_numbers(std::string_view text) {
  const auto decimal = Decimal::parse(text);
  if (!decimal) return;
  fuzz::require(Decimal::parse(decimal->text()) == decimal, "decimal", text);
  for (const std::string_view other : {"0.001", "-7", "99999999999999999.999999999999999999"}) {
    const Decimal by = *Decimal::parse(other);
    if (const auto sum = decimal->plus(by)) fuzz::require(sum->minus(by) == decimal, "sum", text);
    decimal->times(by);
    decimal->divided_by(by, 18);
    if (const auto cut = decimal->towards_zero_to(by.abs()))
      fuzz::require(cut->abs() <= decimal->abs(), "cut away from zero", text);
  }
  decimal->scaled(8);
  decimal->to_double();
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  const std::string_view text = fuzz::text_of(data, size);
  read_url(text);
  read_values(text);
  read_numbers(text);
  if (const auto id = EntryId::parse(text))
    fuzz::require(EntryId::parse(id->text()) == id, "entry id", text);
  if (const auto time = parse_iso_time(text))
    fuzz::require(parse_iso_time(iso_time_text(*time)) == time, "time", text);
  if (const auto address = graph::parse_listen_address(text))
    fuzz::require(graph::parse_listen_address(*address) == address, "address", text);
  if (const auto fields = stream::Fields::decode(std::string(text))) {
    stream::Fields again;
    for (const stream::FieldView& field : fields->view()) again.add(field.name, field.value);
    fuzz::require(again.count() == fields->count(), "fields", text);
  }
  return 0;
}
