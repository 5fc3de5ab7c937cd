// A folder of commands for a running pipeline: one file a command, since only one process may write
// the store.
//
// Invariant: a file is whole when it has its name (`<id>.json`), and goes away only after its
// command is durable; the store knows which ids it has applied, so a process that dies in between
// leaves a file that changes nothing the next time.
#pragma once

#include <string>

#include "base/disk.h"
#include "runtime/operator_command.h"
#include "stream/store.h"

namespace sluice::runtime {

// The inbox of the store in the folder `path`.
std::string inbox_folder(const std::string& path);

// Threads: one call at a time.
class OperatorInbox {
 public:
  // `folder` need not exist.
  OperatorInbox(Disk& disk, std::string folder) : disk_(disk), folder_(std::move(folder)) {}

  // Puts a command in; durable on return. Creates the folder.
  Status submit(const OperatorCommand& command);

  // Applies every command that lies there, in order of id, and removes its file.
  //
  // A file that is no command is renamed to `<name>.refused` and reported in the log; it is never
  // looked at again.
  // Errors: those of the folder and of the store; what was not applied stays.
  Status apply_all(stream::Store& store);

  // Whether the command of that id still waits here.
  Result<bool> has(const std::string& id);

 private:
  Status apply(stream::Store& store, const std::string& name);
  Status refuse(const std::string& name, const std::string& why);

  Disk& disk_;
  const std::string folder_;
};

}  // namespace sluice::runtime
