#include "cli/common.h"

#include "cli/json_writer.h"

namespace sluice::cli {

Exit exit_of(const Status& error) {
  switch (error.code()) {
    case Code::kOk:
      return kFine;
    case Code::kInvalid:
      return kInvalidInput;
    case Code::kNotFound:
    case Code::kConflict:
      return kStore;
    case Code::kCorrupt:
      return kCorruptStore;
    case Code::kUnavailable:
    case Code::kIo:
      return kIoFailure;
    case Code::kClosed:
      break;
  }
  return kInternal;
}

int fail(Common& common, Exit exit, const Status& error) {
  if (common.format == Format::kJson) {
    JsonWriter json;
    json.begin_object().key("error").begin_object();
    json.member("code", code_name(error.code())).member("text", error.text());
    json.end_object().end_object();
    common.err << json.text() << '\n';
  } else {
    common.err << red("error:", common.err_color) << ' ' << error.text() << '\n';
  }
  return exit;
}

int fail(Common& common, const Status& error) { return fail(common, exit_of(error), error); }

}  // namespace sluice::cli
