// The paper exchange's memory on disk: one line for each order it accepted and one for each order
// that ended later.
//
// File `<state>/<account>.journal`, text. Each line is eight hexadecimal digits of CRC-32C over the
// rest, a blank, the fields parted by blanks, a newline:
//
//   <crc> account 2 <balance at the start>
//   <crc> base <last order_id> <last end_no> <remembered from us> <balance> <realized> <fees>
//   <crc> position <symbol> <amount> <cost>
//   <crc> order|end|known <order_id> <client_order_id> <symbol> <BUY|SELL> <reduce_only 0|1>
//         <quantity> <stop price or 0> <executed> <price> <fee> <accepted_us> <visible_us>
//         <status> <reason or -> <end_no> <part,... or ->      part: <quantity>@<price>@<fee>@<us>
//
// `order` is a new one, with what it executed at once; `end` is how an order that stayed open
// ended. `base`, `position` and `known` stand right after the heading of a compacted file: the sums
// of all fills before, and the orders that are still remembered, whose fills are in the sums.
//
// Invariant: a line is written whole at the end by the one process that holds the lock; it is
// complete once its newline and checksum are there. Anything after the last complete line is a torn
// write of an order that was never accepted, and is cut when the writer opens the file. Compacting
// writes a new file aside and renames it over the old one, so that there is always one whole file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/decimal.h"

namespace sluice::paper {

// What an order executed at one moment.
struct Part {
  Decimal quantity, price, fee;
  int64_t visible_us = 0;
};

// An accepted order and what became of it. Changes once more at most: when one that is open ends.
struct Order {
  int64_t order_id = 0;  // ascending from 1 in an account
  std::string client_order_id;
  std::string symbol;
  bool is_buy = true;
  bool reduce_only = false;
  Decimal quantity;
  Decimal stop_price;  // 0: a market order
  Decimal executed;    // base asset; less than `quantity` when the rest expired
  Decimal price;       // average of what was executed
  Decimal fee;         // quote currency
  int64_t accepted_us = 0;
  int64_t visible_us = 0;   // from then on queries and positions show the state below
  std::string status;       // NEW or PARTIALLY_FILLED while open; FILLED, EXPIRED, CANCELED
  std::string reason;       // empty when FILLED or open
  int64_t end_no = 0;       // counts the ends of resting orders in an account; 0: none
  std::vector<Part> parts;  // empty: all of `executed` at once, at `visible_us`

  bool is_stop() const { return stop_price.is_positive(); }
  bool is_open() const { return status == "NEW" || status == "PARTIALLY_FILLED"; }
  // What was executed until `now_us`: quantity, average price cut to 8 decimals, fee.
  Part executed_at(int64_t now_us) const;
};

// A line of the file.
struct JournalLine {
  enum class Kind { kBase, kPosition, kOrder, kEnd, kKnown };
  Kind kind = Kind::kOrder;
  Order order;                                 // kOrder, kEnd, kKnown
  int64_t last_order_id = 0, last_end_no = 0;  // kBase
  int64_t remembered_from_us = 0;              // kBase: older orders may be forgotten
  Decimal balance, realized, fees;             // kBase
  std::string symbol;                          // kPosition
  Decimal amount, cost;                        // kPosition
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
  const std::vector<JournalLine>& loaded() const { return loaded_; }
  // Lines after the heading.
  size_t lines() const { return lines_; }
  size_t bytes_cut() const { return bytes_cut_; }
  // After a failed write nobody knows what the file holds.
  bool failed() const { return failed_; }

  // On return the lines are in the file, and on the disk when `sync`. Throws std::runtime_error
  // when that is not certain; from then on every call throws, because only reading the file again
  // tells.
  void append(const std::vector<JournalLine>& lines);

  // Puts these lines in the place of all there are. A crash leaves the old file or the new one.
  // Throws std::runtime_error when the new one cannot be made; the old one then goes on.
  void replace(const std::vector<JournalLine>& lines);

 private:
  void open();
  void load(const Decimal& balance);
  void write(const std::string& text);
  void sync_folder() const;

  const std::string path_;
  int file_ = -1;
  const bool sync_;
  bool failed_ = false;
  int64_t end_ = 0;
  size_t bytes_cut_ = 0;
  Decimal balance_start_;
  size_t lines_ = 0;
  std::vector<JournalLine> loaded_;
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

  struct Read {
    bool anew =
        false;  // the file was compacted: `lines` is all of it, what was read before is void
    std::vector<JournalLine> lines;
  };

  // Lines written since the last call, oldest first; none while there is no file. An incomplete
  // last line waits for the next call. Throws std::runtime_error on a bad line or an input fault.
  Read poll();

 private:
  void read_on(std::vector<JournalLine>& lines);

  const std::string path_;
  int file_ = -1;
  int64_t offset_ = 0;
};

}  // namespace sluice::paper
