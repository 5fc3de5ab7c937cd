#include "runtime/operator_inbox.h"

#include <algorithm>

#include "base/log.h"

namespace sluice::runtime {

namespace {

constexpr std::string_view kSuffix = ".json";
constexpr uint64_t kBytesMax = 64 << 10;

}  // namespace

std::string inbox_folder(const std::string& path) { return path + "/inbox"; }

Status OperatorInbox::submit(const OperatorCommand& command) {
  SLUICE_TRY(command.check());
  SLUICE_TRY(disk_.make_directory(folder_));
  return write_file_atomically(disk_, folder_ + "/" + command.id + std::string(kSuffix),
                               command_text(command));
}

Status OperatorInbox::apply_all(stream::Store& store) {
  const auto names = disk_.list(folder_);
  if (!names) return names.status().code() == Code::kNotFound ? Status::ok() : names.status();
  bool removed = false;
  for (const std::string& name : *names) {
    if (!name.ends_with(kSuffix)) continue;
    SLUICE_TRY(apply(store, name));
    removed = true;
  }
  return removed ? disk_.sync_directory(folder_) : Status::ok();
}

Status OperatorInbox::apply(stream::Store& store, const std::string& name) {
  const std::string path = folder_ + "/" + name;
  const auto text = read_file(disk_, path, kBytesMax);
  if (!text) {
    // Withdrawn by the one who put it there.
    if (text.status().code() == Code::kNotFound) return Status::ok();
    return text.status().code() == Code::kInvalid ? refuse(name, text.status().text())
                                                  : text.status();
  }
  const auto command = read_command(*text);
  if (!command) return refuse(name, command.status().text());
  if (command->id + std::string(kSuffix) != name)
    return refuse(name, "id \"" + command->id + "\": expected the name of the file");
  SLUICE_TRY(apply_command(store, *command));
  log::info("operator {}: {}{}{} ({})", command->by, command->command,
            command->symbol.empty() ? "" : " " + command->symbol,
            command->amount.empty() ? "" : " " + command->amount, command->reason);
  const Status removed = disk_.remove(path);
  return removed.code() == Code::kNotFound ? Status::ok() : removed;
}

Status OperatorInbox::refuse(const std::string& name, const std::string& why) {
  log::error("operator command {}/{} is refused: {}", folder_, name, why);
  return disk_.rename(folder_ + "/" + name, folder_ + "/" + name + ".refused");
}

Result<bool> OperatorInbox::has(const std::string& id) {
  const auto names = disk_.list(folder_);
  if (!names) {
    if (names.status().code() == Code::kNotFound) return false;
    return names.status();
  }
  return std::find(names->begin(), names->end(), id + std::string(kSuffix)) != names->end();
}

}  // namespace sluice::runtime
