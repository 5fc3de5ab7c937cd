// What strangers may send and leave lying about, to the built program: each is a dead letter or a
// refusal that says why, nothing ends but what is at fault, and memory follows the limits and not
// the input.
//
// The forms are those of the fault list (docs/reliability.md, F46 to F48). Readers on their own are
// in tests/plugins/hostile_test.cc and in tests/fuzz.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/resource.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "engine/embedded_store.h"
#include "fixtures/program.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using testing::Ended;
using ::testing::HasSubstr;
using testing::Program;
using namespace std::string_literals;

std::string repeated(std::string_view text, size_t count) {
  std::string out;
  out.reserve(text.size() * count);
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

// A copy of the shipped pipeline with its schemas and policies, in a folder of its own.
class HostileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "sluice-hostile-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    for (const char* part : {"pipelines", "lua"})
      fs::copy(std::string(SLUICE_SOURCE_DIR "/") + part, folder_ + "/" + part,
               fs::copy_options::recursive);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string pipeline() const { return path("pipelines/trade.yaml"); }

  void write(const std::string& name, std::string_view text) const {
    fs::create_directories(fs::path(path(name)).parent_path());
    std::ofstream(path(name), std::ios::binary) << text;
  }
  static std::string text_of(const std::string& file) {
    std::ostringstream text;
    text << std::ifstream(file, std::ios::binary).rdbuf();
    return text.str();
  }

  Ended sluice(std::vector<std::string> arguments) const {
    return Program(std::move(arguments), folder_,
                   {"SLUICE_DATA=" + path("store"), "SLUICE_DISARM_ON_BURST=false"})
        .wait();
  }
  // The most that any program so far held in memory at once, KiB; 0 under a sanitizer, which keeps
  // what was freed for a look.
  static long peak_kib() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return 0;
#else
    rusage usage{};
    getrusage(RUSAGE_CHILDREN, &usage);
    return usage.ru_maxrss;
#endif
  }
  Ended run(std::string_view input) const {
    write("in.ndjson", input);
    return sluice({"run", pipeline(), "--input", path("in.ndjson")});
  }

  std::vector<stream::Entry> entries(const std::string& name) const {
    const ManualClock clock;
    const auto store = engine::EmbeddedStore::open_read_only(path("store"), system_disk(), clock);
    EXPECT_TRUE(store) << store.status().text();
    if (!store) return {};
    return (*store)->range((*store)->find_stream(name), {}, 100'000).value();
  }
  std::vector<stream::Entry> dead() const { return entries("quantum:stream:dead"); }

  static std::string field(const stream::Entry& entry, std::string_view name) {
    return std::string(entry.fields.find(name).value_or(""));
  }

  // A decision of its own minute, which may become an order. `inside` is put into its payload.
  static std::string decision(size_t minute, std::string_view inside = "",
                              std::string_view confidence = "0.9",
                              std::string_view symbol = "\"ETHUSDT\"") {
    const std::string time = fmt::format("2025-12-{:02}T{:02}:{:02}:00.000000+00:00",
                                         1 + minute / 1440, minute / 60 % 24, minute % 60);
    std::ostringstream line;
    line << R"({"timestamp":")" << time << R"(","trace_id":"T)" << minute
         << R"(","payload":{"symbol":)" << symbol << R"(,"side":"SELL","confidence":)" << confidence
         << R"(,"timestamp":")" << time << '"' << inside << "}}";
    return line.str();
  }

  std::string folder_;
};

struct Line {
  const char* name;
  std::string text;
  const char* detail;  // part of the dead letter's; null: it is handled like any other
};

TEST_F(HostileTest, EachLineOfAnInputIsADeadLetterWithItsReasonAndTheNextOneIsHandled) {
  const std::string whole = decision(0);
  const Line lines[] = {
      {"10 MB", decision(0, ",\"note\":\"" + std::string(10'000'000, 'x') + "\""),
       "expected at most 1048576"},
      {"900 kB", decision(0, ",\"note\":\"" + std::string(900'000, 'x') + "\""), "at most 262144"},
      {"a million members", "{" + repeated("\"a\":0,", 1'000'000) + "\"b\":0}",
       "expected at most 1048576"},
      {"members without end", "{" + repeated("\"a\":0,", 100'000) + "\"b\":0}",
       "more than 10000 values"},
      {"values without end", decision(0, ",\"l\":[" + repeated("0,", 400'000) + "0]"),
       "more than 10000 values"},
      {"depth 10^6", "{\"payload\":" + repeated("[", 1'000'000), "nested deeper than 32"},
      {"depth 10^5 in text", "{\"payload\":\"" + repeated("[", 100'000) + "\"}",
       "nested deeper than 32"},
      {"not UTF-8", decision(0, ",\"note\":\"\xff\xfe\""), "Invalid encoding"},
      {"overlong", decision(0, ",\"note\":\"\xc0\xaf\""), "Invalid encoding"},
      {"escaped zero byte", decision(0, ",\"note\":\"a\\u0000\""), "zero byte"},
      {"zero byte in an identifier", decision(0, "", "0.9", "\"ETH\\u0000USDT\""), "zero byte"},
      {"zero byte", decision(0, ",\"note\":\"a\0\""s), "zero byte"},
      {"behind a zero byte", whole + "\0{}"s, "zero byte"},
      {"doubled key", decision(0, ",\"confidence\":0.1"), "twice"},
      {"doubled member", R"({"payload":{},"payload":{}})", "stands twice"},
      {"1e400", decision(0, "", "1e400"), "too big"},
      {"30 digits", decision(0, "", "123456789012345678901234567890"), "maximum"},
      {"30 digits in the middle", decision(0, ",\"leverage\":" + std::string(30, '7')),
       "breaks maximum"},
      {"NaN", decision(0, "", "NaN"), "not JSON"},
      {"leading zero", decision(0, "", "00.9"), "not JSON"},
      {"first half of a pair", decision(0, ",\"note\":\"\\ud800\""), "surrogate"},
      {"second half of a pair", decision(0, ",\"note\":\"\\udc00\""), "not UTF-8"},
      {"byte order mark", "\xef\xbb\xbf" + whole, "not JSON"},
      {"truncated", whole.substr(0, whole.size() - 20), "not JSON"},
      {"a list", "[]", "expected a JSON object"},
      {"a number", "5", "expected a JSON object"},
      {"nothing in it", "{}", "payload"},
      {"a long name", "{\"" + std::string(500'000, 'k') + "\":1}", "payload"},
      {"any bytes", "\x01\x02\xfe\xff", "not JSON"}};
  std::string input;
  size_t minute = 1;
  for (const Line& line : lines) input += line.text + "\n" + decision(minute++) + "\n";

  const Ended ended = run(input);
  ASSERT_EQ(ended.exit_code, 0) << ended.err;
  const auto letters = dead();
  ASSERT_EQ(letters.size(), std::size(lines)) << ended.out;
  // Those of the input come at once and those of the router after it, each in the order of lines.
  std::vector<bool> used(letters.size());
  for (const Line& line : lines) {
    bool found = false;
    for (size_t i = 0; i < letters.size() && !found; ++i) {
      const std::string detail = field(letters[i], "sluice.detail");
      found = !used[i] && detail.find(line.detail) != std::string::npos;
      if (!found) continue;
      used[i] = true;
      EXPECT_LT(detail.size(), 400u) << line.name;
    }
    EXPECT_TRUE(found) << line.name << " is not refused for: " << line.detail;
  }
  EXPECT_EQ(ended.out.find("do not add up"), std::string::npos) << ended.out;
  EXPECT_EQ(sluice({"audit", pipeline()}).exit_code, 0);
  EXPECT_EQ(entries("quantum:stream:trade.intent").size(), std::size(lines));
}

TEST_F(HostileTest, MemoryFollowsTheLimitOfALineNotItsLength) {
  const Ended small = run(decision(1) + "\n" + decision(2) + "\n");
  ASSERT_EQ(small.exit_code, 0) << small.err;
  const long small_kib = peak_kib();
  fs::remove_all(path("store"));
  {
    // Piece by piece: what this process held at most counts for the programs it starts.
    std::ofstream input(path("large.ndjson"), std::ios::binary);
    const std::string piece(1 << 20, 'x'), brackets(1 << 20, '[');
    input << decision(1) << "\n";
    for (int i = 0; i < 200; ++i) input << piece;
    input << "\n{\"a\":\"";
    for (int i = 0; i < 100; ++i) input << brackets;
    input << "\"}\n" << decision(2) << "\n";
  }
  const Ended large = sluice({"run", pipeline(), "--input", path("large.ndjson")});
  ASSERT_EQ(large.exit_code, 0) << large.err;
  EXPECT_EQ(dead().size(), 2u);
  // The reader holds a line of 1 MiB, and twice that, and what it reads at once, while it looks for
  // the end of a longer one.
  EXPECT_LT(peak_kib() - small_kib, 8 << 10);
}

// Built when it is written: what this process held at most counts for the programs it starts.
struct File {
  const char* name;
  const char* said;
  std::string head;
  std::string_view piece = {};  // between head and tail, `count` times
  size_t count = 0;
  std::string tail = {};

  std::string text() const { return head + repeated(piece, count) + tail; }
};

constexpr long kPeakMostKib = 96 << 10;

TEST_F(HostileTest, EachPipelineFileIsRefusedWithPlaceAndReason) {
  const std::string whole = text_of(pipeline());
  const File files[] = {{"10 MB", "expected at most 1048576", whole + "# ", "x", 10'000'000},
                        {"truncated", "S0004", whole.substr(0, 3000)},
                        {"keys without end", "more findings", "{", "k: 1, ", 100'000, "}"},
                        {"depth 10^6", "nested deeper than 32", "", "[", 1'000'000},
                        {"depth by dashes", "nested deeper than 32", "", "- ", 500'000},
                        {"depth by maps", "nested deeper than 32", "", "a: {", 200'000},
                        {"quotes without end", "S0004", "", "\"", 900'000},
                        {"circle", "S0007", "&x\n- *x"},
                        {"not UTF-8", "not part of UTF-8", "api: \"\xff\""},
                        {"zero byte", "S0003", "api: sluice/v1\n\0"s},
                        {"30 digits", "S0101", "batch: 123456789012345678901234567890\n" + whole},
                        {"nothing", "S0", ""}};
  for (const File& file : files) {
    write("pipelines/trade.yaml", file.text());
    const Ended ended = sluice({"check", pipeline()});
    EXPECT_EQ(ended.exit_code, 3) << file.name << ended.err;
    EXPECT_THAT(ended.out + ended.err, HasSubstr(file.said)) << file.name;
    EXPECT_THAT(ended.out + ended.err, HasSubstr("trade.yaml:")) << file.name;
    EXPECT_LT(ended.out.size(), 64'000u) << file.name;
    EXPECT_LT(peak_kib(), kPeakMostKib) << file.name;
  }
}

TEST_F(HostileTest, EachSchemaIsRefusedWithPlaceAndReason) {
  const File files[] = {
      {"10 MB", "at most 1048576", "{\"title\":\"", "x", 10'000'000, "\"}"},
      {"depth", "nested deeper than 32", "", "{\"a\":", 200'000},
      {"values without end", "more than 10000 values", "{\"properties\":[", "0,", 50'000, "0]}"},
      {"doubled key", "a key is given twice", R"({"type":"object","type":"object"})"},
      {"not UTF-8", "Invalid encoding", "{\"title\":\"\xff\"}"},
      {"zero byte", "a zero byte", "{\"type\":\"object\"}\0"s},
      {"1e400", "too big", R"({"type":"object","properties":{"a":{"minimum":1e400}}})"},
      {"half a pair", "surrogate", R"({"title":"\udc00"})"},
      {"truncated", "ai_decision.json:1", "{\"type\":"}};
  for (const File& file : files) {
    write("pipelines/schemas/ai_decision.json", file.text());
    const Ended ended = sluice({"check", pipeline()});
    EXPECT_EQ(ended.exit_code, 3) << file.name;
    EXPECT_THAT(ended.out + ended.err, HasSubstr(file.said)) << file.name;
    EXPECT_LT(peak_kib(), kPeakMostKib) << file.name;
  }
}

TEST_F(HostileTest, EachPolicyIsRefusedWithFileAndReason) {
  const File files[] = {
      {"10 MB", "at most 262144", "-- ", "x", 10'000'000, "\nreturn {}"},
      {"depth", "C stack overflow", "return ", "(", 250'000},
      {"tables in tables", "C stack overflow", "return ", "{", 250'000},
      {"functions in functions", "C stack overflow", "return ", "function()return ", 15'000},
      {"minus without end", "C stack overflow", "return ", "- ", 120'000, "1"},
      {"binary", "binary", "\x1bLua\x54"},
      {"zero byte", "zero byte", "return {}\0"s},
      {"not UTF-8", "router.lua:1", "return { \xff = 1 }"},
      {"locals", "local variables", "", "local a = 1 ", 300, "return {}"},
      {"loop", "spent its budget", "while true do end"},
      {"bomb", "router.lua", "local t = {} for i = 1, 1e9 do t[i] = {} end"},
      {"truncated", "router.lua:1", "return { dedup_ttl = function("}};
  for (const File& file : files) {
    write("lua/router.lua", file.text());
    const Ended ended = sluice({"check", pipeline()});
    EXPECT_EQ(ended.exit_code, 3) << file.name;
    EXPECT_THAT(ended.out + ended.err, HasSubstr(file.said)) << file.name;
    EXPECT_THAT(ended.out + ended.err, HasSubstr("router.lua")) << file.name;
    EXPECT_LT(peak_kib(), kPeakMostKib) << file.name;
  }
}

TEST_F(HostileTest, EachTestFileIsRefusedWithPlaceAndReason) {
  const std::string head = "api: sluice/v1\npipeline: trade.yaml\n";
  const File files[] = {{"10 MB", "at most 1048576", head + "# ", "x", 10'000'000},
                        {"depth", "nested deeper than 32", head + "tests: ", "[", 1'000'000},
                        {"depth of an entry", "nested deeper than 32", head + "tests: ", "[", 900},
                        {"not UTF-8", "not part of UTF-8", head + "tests: \xff"},
                        {"circle", "S0007", head + "tests: &a [*a]"},
                        {"truncated", "S0004", head + "tests:\n  - name: \"a"}};
  for (const File& file : files) {
    write("pipelines/trade.test.yaml", file.text());
    const Ended ended = sluice({"test", path("pipelines/trade.test.yaml")});
    EXPECT_EQ(ended.exit_code, 3) << file.name;
    EXPECT_THAT(ended.out + ended.err, HasSubstr(file.said)) << file.name;
    EXPECT_LT(peak_kib(), kPeakMostKib) << file.name;
  }
}

TEST_F(HostileTest, CommandsThatCannotBeReadArePutAsideAndTheRunGoesOn) {
  const File files[] = {{"10mb", "", "{\"a\":\"", "x", 10'000'000, "\"}"},
                        {"deep", "", "", "[", 60'000},
                        {"zero", "", "{\"command\":\"kill_on\"}\0"s},
                        {"doubled", "", R"({"command":"rearm","command":"kill_on"})"},
                        {"bytes", "", "\xff\xfe"},
                        {"truncated", "", "{\"command\":\"kill"}};
  for (const File& file : files) write("store/inbox/"s + file.name + ".json", file.text());
  const Ended ended = run(decision(1) + "\n");
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
  for (const File& file : files) {
    EXPECT_TRUE(fs::exists(path("store/inbox/"s + file.name + ".json.refused"))) << file.name;
    EXPECT_THAT(ended.err, HasSubstr(file.name + ".json is refused"s));
  }
  EXPECT_EQ(entries("quantum:stream:execution.result").size(), 1u);
}

struct Evil {
  const char* name;
  const char* dedup_id;  // body of the hook
};

// Each passes its own tests, so that it goes live.
TEST_F(HostileTest, EvilPolicyThatPassedItsTestsMeansNoAndTheHostLives) {
  const Evil evils[] = {
      {"loop", "while true do pcall(function() while true do end end) end"},
      {"memory", "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end"},
      {"pattern", "return ('a'):rep(64):find((('.-'):rep(20)) .. 'b')"},
      {"recursion", "local function f() return 1 + f() end return f()"},
      {"error object", "error({code = 1})"},
      {"not text", "return 0 / 0"},
      {"nothing", ""}};
  for (const Evil& evil : evils) {
    write("lua/router.lua", "return { dedup_id = function(decision) " + std::string(evil.dedup_id) +
                                " end, tests = { function() assert(1 + 1 == 2) end } }");
    fs::remove_all(path("store"));
    const Ended ended = run(decision(1) + "\n" + decision(2) + "\n");
    ASSERT_EQ(ended.exit_code, 0) << evil.name << ended.err;
    const auto letters = dead();
    ASSERT_EQ(letters.size(), 2u) << evil.name;
    for (const stream::Entry& letter : letters) {
      EXPECT_EQ(field(letter, "sluice.reason"), "policy_error") << evil.name;
      EXPECT_THAT(field(letter, "sluice.detail"), HasSubstr("router.lua")) << evil.name;
    }
    EXPECT_TRUE(entries("quantum:stream:trade.intent").empty()) << evil.name;
    EXPECT_LT(peak_kib(), kPeakMostKib) << evil.name;
  }
}

}  // namespace
}  // namespace sluice
