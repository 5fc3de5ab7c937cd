#include "runtime/dead_letter.h"

namespace sluice::runtime {

stream::Fields dead_letter_fields(stream::FieldsView original, const DeadLetter& letter) {
  stream::Fields fields;
  for (const stream::FieldView& field : original) {
    // A replayed dead letter that dies again tells its newest story only.
    if (!field.name.starts_with(kDeadLetterPrefix)) fields.add(field.name, field.value);
  }
  fields.add(kDeadStage, letter.stage);
  fields.add(kDeadReason, letter.reason);
  fields.add(kDeadDetail, letter.detail);
  fields.add(kDeadStream, letter.stream);
  fields.add(kDeadId, letter.id.text());
  fields.add(kDeadDeliveries, std::to_string(letter.deliveries));
  fields.add(kDeadAt, std::to_string(to_us(letter.at)));
  return fields;
}

}  // namespace sluice::runtime
