#include <fcntl.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>

#include "common/measure.h"
#include "whole/stage.h"

namespace sluice::bench {

namespace {

// Between two syncs where a step need not be on the disk on return.
constexpr std::chrono::milliseconds kGroupInterval{5};

class Timer {
 public:
  Cost stop() const { return {seconds_since(started_), cpu_seconds() - cpu_, 0}; }

 private:
  const double cpu_ = cpu_seconds();
  const Steady::time_point started_ = Steady::now();
};

// Says when the next sync of kGroup is due.
class Interval {
 public:
  bool is_over() {
    if (Steady::now() - last_ < kGroupInterval) return false;
    last_ = Steady::now();
    return true;
  }

 private:
  Steady::time_point last_ = Steady::now();
};

class BareWrites final : public Peer {
 public:
  explicit BareWrites(double bytes) : bytes_(bytes) {}

  std::string name() const override { return "pwrite"; }

  Cost run(const std::string& folder, const Workload& workload, Sync sync) override {
    const auto size = static_cast<size_t>(bytes_ * static_cast<double>(workload.batch));
    const int fd = open((folder + "/log").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const auto total = static_cast<off_t>(size * (workload.entries / workload.batch + 1));
    check(fd >= 0 && posix_fallocate(fd, 0, total) == 0 && fsync(fd) == 0);
    const std::string bytes(size, 'x');
    off_t at = 0;
    Interval interval;
    const Timer timer;
    for (size_t done = 0; done < workload.entries; done += workload.batch) {
      check(pwrite(fd, bytes.data(), size, at) == static_cast<ssize_t>(size));
      at += static_cast<off_t>(size);
      if (sync == Sync::kCommit || (sync == Sync::kGroup && interval.is_over()))
        check(fdatasync(fd) == 0);
    }
    if (sync != Sync::kOs) check(fdatasync(fd) == 0);
    const Cost cost = timer.stop();
    close(fd);
    return cost;
  }

 private:
  static void check(bool fine) {
    if (!fine) throw std::system_error(errno, std::generic_category(), "pwrite");
  }

  const double bytes_;
};

// --- SQLite ---

class Statement {
 public:
  Statement(sqlite3* db, const char* sql) {
    if (sqlite3_prepare_v2(db, sql, -1, &raw_, nullptr) != SQLITE_OK)
      throw std::runtime_error(std::string("sqlite: ") + sqlite3_errmsg(db));
  }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() { sqlite3_finalize(raw_); }

  Statement& bind(int at, int64_t number) {
    sqlite3_bind_int64(raw_, at, number);
    return *this;
  }
  Statement& bind(int at, std::string_view text) {
    sqlite3_bind_text(raw_, at, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
    return *this;
  }
  // True when there is a row; resets itself at the end.
  bool step() {
    const int code = sqlite3_step(raw_);
    if (code == SQLITE_ROW) return true;
    sqlite3_reset(raw_);
    if (code != SQLITE_DONE)
      throw std::runtime_error(std::string("sqlite: ") + sqlite3_errstr(code));
    return false;
  }
  int64_t number(int column) { return sqlite3_column_int64(raw_, column); }
  std::string text(int column) {
    return {reinterpret_cast<const char*>(sqlite3_column_text(raw_, column)),
            static_cast<size_t>(sqlite3_column_bytes(raw_, column))};
  }

 private:
  sqlite3_stmt* raw_ = nullptr;
};

class SqliteUnits final : public Peer {
 public:
  std::string name() const override { return "sqlite"; }
  // It syncs with each commit or leaves it to checkpoints: nothing like 5 ms.
  bool can(Sync sync) const override { return sync == Sync::kCommit; }

  Cost run(const std::string& folder, const Workload& workload, Sync) override {
    sqlite3* raw = nullptr;
    if (sqlite3_open((folder + "/db").c_str(), &raw) != SQLITE_OK)
      throw std::runtime_error("sqlite: cannot open");
    const std::unique_ptr<sqlite3, int (*)(sqlite3*)> db(raw, &sqlite3_close);
    for (const char* sql :
         {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL",
          "CREATE TABLE input (id INTEGER PRIMARY KEY, name TEXT, payload TEXT)",
          "CREATE TABLE output (id INTEGER PRIMARY KEY, name TEXT, payload TEXT)",
          "CREATE TABLE seen (key TEXT PRIMARY KEY, entry INTEGER, expires INTEGER) WITHOUT ROWID"})
      exec(raw, sql);
    exec(raw, "BEGIN");
    Statement fill(raw, "INSERT INTO input (name, payload) VALUES (?, ?)");
    for (size_t i = 0; i < workload.entries; ++i) {
      const std::string id = id_of(i), payload = payload_of(i);
      fill.bind(1, id).bind(2, payload).step();
    }
    exec(raw, "COMMIT");

    Statement read(raw, "SELECT id, name, payload FROM input ORDER BY id LIMIT ?");
    Statement claim(raw, "INSERT OR IGNORE INTO seen VALUES (?, ?, ?)");
    Statement append(raw, "INSERT INTO output (name, payload) VALUES (?, ?)");
    Statement ack(raw, "DELETE FROM input WHERE id = ?");
    struct Row {
      int64_t id;
      std::string name, payload;
    };
    std::vector<Row> rows;
    size_t done = 0;
    const Timer timer;
    for (;;) {
      exec(raw, "BEGIN");
      rows.clear();
      read.bind(1, static_cast<int64_t>(workload.batch));
      while (read.step()) rows.push_back({read.number(0), read.text(1), read.text(2)});
      for (const Row& row : rows) {
        const std::string key = kSeen + row.name;
        claim.bind(1, key).bind(2, row.id).bind(3, 3'600'000).step();
        if (sqlite3_changes(raw) == 1) append.bind(1, row.name).bind(2, row.payload).step();
        ack.bind(1, row.id).step();
      }
      exec(raw, "COMMIT");
      if (rows.empty()) break;
      done += rows.size();
    }
    const Cost cost = timer.stop();
    Statement appended(raw, "SELECT count(*) FROM output");
    appended.step();
    if (done != workload.entries || appended.number(0) != static_cast<int64_t>(done))
      throw std::runtime_error("sqlite: not all was done");
    appended.step();
    return cost;
  }

 private:
  static void exec(sqlite3* db, const char* sql) {
    if (sqlite3_exec(db, sql, nullptr, nullptr, nullptr) != SQLITE_OK)
      throw std::runtime_error(std::string("sqlite: ") + sqlite3_errmsg(db));
  }
};

// --- RocksDB ---

class RocksdbUnits final : public Peer {
 public:
  std::string name() const override { return "rocksdb"; }

  Cost run(const std::string& folder, const Workload& workload, Sync sync) override {
    rocksdb::Options options;
    options.create_if_missing = true;
    rocksdb::DB* raw = nullptr;
    check(rocksdb::DB::Open(options, folder + "/db", &raw));
    const std::unique_ptr<rocksdb::DB> db(raw);
    for (size_t i = 0; i < workload.entries; ++i)
      check(db->Put({}, key('i', i), id_of(i) + payload_of(i)));
    check(db->FlushWAL(true));

    rocksdb::WriteOptions writing;
    writing.sync = sync == Sync::kCommit;
    const size_t id_size = id_of(0).size();
    size_t done = 0;
    Interval interval;
    const Timer timer;
    // One iterator: a new one would step over all that was deleted.
    const std::unique_ptr<rocksdb::Iterator> in(db->NewIterator({}));
    for (in->Seek("i"); in->Valid() && in->key().starts_with("i");) {
      rocksdb::WriteBatch batch;
      for (size_t i = 0; i < workload.batch && in->Valid() && in->key().starts_with("i");
           ++i, in->Next(), ++done) {
        const rocksdb::Slice value = in->value();
        const std::string seen = std::string(kSeen).append(value.data(), id_size);
        std::string earlier;
        const rocksdb::Status found = db->Get({}, seen, &earlier);
        if (found.IsNotFound()) {
          batch.Put(seen, in->key());
          batch.Put(key('o', done), value);
        } else {
          check(found);
        }
        batch.Delete(in->key());
      }
      check(db->Write(writing, &batch));
      if (sync == Sync::kGroup && interval.is_over()) check(db->FlushWAL(true));
    }
    if (sync != Sync::kOs) check(db->FlushWAL(true));
    const Cost cost = timer.stop();
    std::string last;
    check(db->Get({}, key('o', workload.entries - 1), &last));
    if (done != workload.entries) throw std::runtime_error("rocksdb: not all was done");
    return cost;
  }

 private:
  // Sorted as the numbers are.
  static std::string key(char kind, size_t i) {
    std::string key(9, kind);
    for (size_t at = 8; at > 0; --at, i >>= 8) key[at] = static_cast<char>(i & 0xff);
    return key;
  }
  static void check(const rocksdb::Status& status) {
    if (!status.ok()) throw std::runtime_error("rocksdb: " + status.ToString());
  }
};

}  // namespace

std::unique_ptr<Peer> bare_writes(double bytes) { return std::make_unique<BareWrites>(bytes); }
std::unique_ptr<Peer> sqlite_units() { return std::make_unique<SqliteUnits>(); }
std::unique_ptr<Peer> rocksdb_units() { return std::make_unique<RocksdbUnits>(); }

}  // namespace sluice::bench
