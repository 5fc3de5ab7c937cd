// What becomes of an allocation that finds no memory.
//
// A unit of work that is half carried out in memory cannot be taken back, and whoever came next
// would build on it. So the host does not unwind: its process ends where it stands, as if it had
// been killed, and the next start goes on from what was committed. A plugin's code may run out:
// what it throws costs its entry a try.
#pragma once

namespace sluice {

// From now on `new` that finds no memory ends the process with `exit_code` and one line on standard
// error, unless a MayRunOut of the thread is alive: then it throws std::bad_alloc. So does a
// std::bad_alloc that nobody may catch. What malloc refuses to a C library is for that library.
//
// Threads: [control], once.
void end_when_out_of_memory(int exit_code);

// The same end for what a library of ours was refused. Returns where nobody asked for it.
//
// Threads: [any].
void found_no_memory();

class MayRunOut {
 public:
  MayRunOut() { ++depth_; }
  ~MayRunOut() { --depth_; }
  MayRunOut(const MayRunOut&) = delete;
  MayRunOut& operator=(const MayRunOut&) = delete;

  static bool is_alive() { return depth_ > 0; }

 private:
  static thread_local int depth_;
};

}  // namespace sluice
