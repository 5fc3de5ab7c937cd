// The paper exchange's memory on disk: one line for each order it accepted, with its whole fate.
//
// File `<state>/<account>.journal`, text. Each line is eight hexadecimal digits of CRC-32C over the
// rest, a blank, the fields parted by blanks, a newline:
//
//   <crc> account 1 <balance>
//   <crc> order <order_id> <client_order_id> <symbol> <BUY|SELL> <reduce_only 0|1> <quantity>
//         <executed> <price> <fee> <accepted_us> <visible_us> <status> <reason or ->
//
// Invariant: a line is written whole at the end by the one process that holds the lock; it is
// complete once its newline and checksum are there. Anything after the last complete line is a torn
// write of an order that was never accepted, and is cut when the writer opens the file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/decimal.h"

namespace sluice::paper {

// An accepted order and what became of it. Never changes once written.
struct Order {
  int64_t order_id = 0;  // ascending from 1 in an account
  std::string client_order_id;
  std::string symbol;
  bool is_buy = true;
  bool reduce_only = false;
  Decimal quantity;
  Decimal executed;  // base asset; less than `quantity` when the rest expired
  Decimal price;     // average of what was executed
  Decimal fee;       // quote currency
  int64_t accepted_us = 0;
  int64_t visible_us = 0;  // from then on queries and positions show it
  std::string status;      // FILLED or EXPIRED
  std::string reason;      // empty when FILLED
};

std::string journal_path(const std::string& state, const std::string& account);

// The one writer. Locks the file against a second process, also against itself.
// Threads: one call at a time.
class JournalWriter {
 public:
  // Opens or creates; cuts a torn tail. Throws std::runtime_error: locked by another process, a bad
  // line with a good one after it (names file and byte), input or output faults.
  JournalWriter(const std::string& state, const std::string& account, const Decimal& balance,
                bool sync);
  ~JournalWriter();
  JournalWriter(const JournalWriter&) = delete;
  JournalWriter& operator=(const JournalWriter&) = delete;

  const Decimal& balance_start() const { return balance_start_; }
  const std::vector<Order>& loaded() const { return loaded_; }
  size_t bytes_cut() const { return bytes_cut_; }
  // After a failed write nobody knows what the file holds.
  bool failed() const { return failed_; }

  // On return the order is in the file, and on the disk when `sync`. Throws std::runtime_error when
  // that is not certain; from then on every call throws, because only reading the file again tells.
  void append(const Order& order);

 private:
  void load(const std::string& path, const Decimal& balance);
  void write(const std::string& line);

  int file_ = -1;
  const bool sync_;
  bool failed_ = false;
  int64_t end_ = 0;
  size_t bytes_cut_ = 0;
  Decimal balance_start_;
  std::vector<Order> loaded_;
};

// Reads the same file while the writer appends, from where it stopped the last time.
// Threads: one call at a time.
class JournalFollower {
 public:
  JournalFollower(const std::string& state, const std::string& account)
      : path_(journal_path(state, account)) {}
  ~JournalFollower();
  JournalFollower(const JournalFollower&) = delete;
  JournalFollower& operator=(const JournalFollower&) = delete;

  // Orders accepted since the last call, oldest first; none while there is no file. An incomplete
  // last line waits for the next call. Throws std::runtime_error on a bad line or an input fault.
  std::vector<Order> poll();

 private:
  const std::string path_;
  int file_ = -1;
  int64_t offset_ = 0;
};

}  // namespace sluice::paper
