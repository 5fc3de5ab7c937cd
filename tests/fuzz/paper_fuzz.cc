// Any bytes as the files of the paper exchange: a fault with the file's name, or an account and
// prices that can be used.
//
// The first byte chooses the file: 0 a journal as it is, 1 lines of a journal whose checksums are
// right, 2 a table of candles, 3 the alignment.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "engine/crc32c.h"
#include "execution/paper_exchange.h"
#include "fuzz/fuzz.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kNowUs = 1'764'000'000'000'000;

// In memory where that is possible.
class Home {
 public:
  Home() {
    const fs::path memory = "/dev/shm";
    const fs::path above = fs::is_directory(memory) ? memory : fs::temp_directory_path();
    folder_ = above / ("sluice-paper-fuzz-" + std::to_string(getpid()));
    clear();
  }
  ~Home() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  void clear() const {
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "klines");
  }
  std::string path(std::string_view name = "") const { return (folder_ / name).string(); }
  void write(std::string_view name, std::string_view text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }

 private:
  fs::path folder_;
};

std::string sealed(std::string_view lines) {
  std::string out;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
    char crc[10];
    std::snprintf(crc, sizeof crc, "%08x ", engine::crc32c(line));
    out.append(crc).append(line) += '\n';
  }
  return out;
}

// Faults are exceptions here, and name the file.
template <typename Work>
bool holds(const Home& home, Work work) {
  try {
    work();
    return true;
  } catch (const std::runtime_error& fault) {
    const std::string_view text = fault.what();
    fuzz::require(text.find(home.path()) != text.npos || text.starts_with("paper "), "no file",
                  text);
    return false;
  }
}

void read_journal(const Home& home, std::string_view text) {
  home.write("main.journal", text);
  holds(home, [&] {
    paper::AccountView view(home.path(), "main");
    view.at(kNowUs);
    view.at(kNowUs + 1);
  });
  paper::ExchangeSettings settings;
  settings.account = "main";
  settings.prices.state = home.path();
  holds(home, [&] {
    paper::Exchange exchange(settings);
    exchange.advance(kNowUs);
    exchange.account();
    for (const paper::Order& order : exchange.ended_since(0, kNowUs))
      fuzz::require(exchange.find(order.client_order_id).has_value(), "lost",
                    order.client_order_id);
  });
}

void read_prices(const Home& home) {
  paper::PriceSettings settings;
  settings.state = home.path();
  settings.klines = home.path("klines");
  holds(home, [&] {
    paper::Prices prices(settings);
    for (const int64_t later : {INT64_C(0), INT64_C(59'999'999), INT64_C(86'400'000'000)}) {
      const auto price = prices.price("BTCUSDT", kNowUs + later);
      if (price) fuzz::require(!price->is_negative(), "negative price", price->text());
    }
  });
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  static const Home home;
  if (size == 0) return 0;
  const std::string_view rest = fuzz::text_of(data + 1, size - 1);
  home.clear();
  switch ((data[0] + 256u - '0') % 4) {
    case 0:
      read_journal(home, rest);
      break;
    case 1:
      read_journal(home, sealed(rest));
      break;
    case 2:
      home.write("klines/BTCUSDT.csv", rest);
      read_prices(home);
      break;
    default:
      home.write("klines/BTCUSDT.csv",
                 "open_time,open,high,low,close\n1764000000000,90000,90100,89900,90050\n");
      home.write("alignment", rest);
      read_prices(home);
  }
  return 0;
}
