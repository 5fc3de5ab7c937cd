// The paper exchange: prices are a function of time, fills are exact, and what was accepted is
// never forgotten or doubled, wherever the process dies.
#include "execution/paper_exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace sluice::paper {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kNow = 1'700'000'000'000'000;
constexpr int64_t kSecond = 1'000'000;

Decimal dec(std::string_view text) { return Decimal::parse(text).value(); }

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

template <typename Call>
std::string error_of(Call&& call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

class PaperTest : public ::testing::Test {
 protected:
  PaperTest() {
    std::string name = fs::temp_directory_path() / "sluice_paper_XXXXXX";
    root_ = ::mkdtemp(name.data());
    fs::create_directory(klines_path());
  }
  ~PaperTest() override { fs::remove_all(root_); }

  std::string state() const { return root_ + "/state"; }
  std::string klines_path() const { return root_ + "/klines"; }
  std::string journal() const { return journal_path(state(), "paper"); }

  void candles(const std::string& file, const std::string& rows) const {
    write_text(klines_path() + "/" + file, rows);
  }

  // BTCUSDT stands at `price` for an hour.
  ExchangeSettings at_price(const std::string& price) const {
    candles("BTCUSDT-1m.csv", "open_time,open,high,low,close,volume\n1765650000000," + price + "," +
                                  price + "," + price + "," + price + ",1\n");
    ExchangeSettings settings;
    settings.prices = {state(), klines_path(), 1, {}};
    settings.fee_rate = dec("0.0004");
    settings.balance = dec("10000");
    return settings;
  }

  static NewOrder buy(const std::string& id, const std::string& quantity) {
    return {id, "BTCUSDT", true, false, dec(quantity), {}};
  }
  static NewOrder sell(const std::string& id, const std::string& quantity) {
    return {id, "BTCUSDT", false, false, dec(quantity), {}};
  }
  static NewOrder close_long(const std::string& id, const std::string& quantity) {
    return {id, "BTCUSDT", false, true, dec(quantity), {}};
  }

  std::string root_;
};

using PaperPrices = PaperTest;
using PaperFills = PaperTest;
using PaperJournal = PaperTest;
using PaperFaults = PaperTest;
using PaperView = PaperTest;

TEST_F(PaperPrices, FirstPriceAskedForIsFirstCandleAndMovesToCloseBySecond) {
  candles("BTCUSDT-1m.csv",
          "open_time,open,high,low,close,volume\n1765650000000,100.0,130,90,106.0,1\n");
  Prices prices({state(), klines_path(), 1, {}});
  EXPECT_EQ(prices.price("BTCUSDT", kNow), dec("100"));
  EXPECT_EQ(prices.price("BTCUSDT", kNow + 10 * kSecond), dec("101"));
  EXPECT_EQ(prices.price("BTCUSDT", kNow + 11 * kSecond), dec("101.1"));
  EXPECT_EQ(prices.price("BTCUSDT", kNow + 11 * kSecond + 999'999), dec("101.1"));
  EXPECT_EQ(prices.source(), "klines of 1 symbols");
}

TEST_F(PaperPrices, PublicLayoutWithAndWithoutHeadingAndInMicrosecondsReadsTheSame) {
  const std::string tail = ",1.5,1765650059999,3,4,1,2,0\n";
  candles("ETHUSDT-1m-2025-12.csv", "1765650000000,3000,3001,2999,3000.5" + tail);
  candles("SOLUSDT.csv",
          "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
          "taker_buy_volume,taker_buy_quote_volume,ignore\r\n"
          "1765650000000000,130,131,129,130" +
              tail);
  Prices prices({state(), klines_path(), 1, {}});
  EXPECT_EQ(prices.price("ETHUSDT", kNow), dec("3000"));
  EXPECT_EQ(prices.price("SOLUSDT", kNow), dec("130"));
  EXPECT_EQ(prices.source(), "klines of 2 symbols");
}

TEST_F(PaperPrices, GapCarriesLastCloseAndEndWrapsToStart) {
  candles("BTCUSDT-1m-a.csv", "1765650000000,100,100,100,101,1\n");
  candles("BTCUSDT-1m-b.csv", "1765650180000,200,200,200,200,1\n");
  Prices prices({state(), klines_path(), 1, {}});
  EXPECT_EQ(prices.price("BTCUSDT", kNow), dec("100"));
  EXPECT_EQ(prices.price("BTCUSDT", kNow + 90 * kSecond), dec("101"));
  EXPECT_EQ(prices.price("BTCUSDT", kNow + 180 * kSecond), dec("200"));
  EXPECT_EQ(prices.price("BTCUSDT", kNow + 240 * kSecond), dec("100"));
}

TEST_F(PaperPrices, SymbolWithoutCandlesHasNoPrice) {
  Exchange exchange(at_price("100"));
  NewOrder order = buy("a", "1");
  order.symbol = "NEARUSDT";
  const Placed placed = exchange.place(order, kNow, false);
  EXPECT_EQ(placed.kind, Placed::Kind::kRefused);
  EXPECT_EQ(placed.refusal.code, -1121);
}

TEST_F(PaperPrices, AlignmentIsKeptForLaterReadersWhateverTimeTheyStart) {
  candles("BTCUSDT-1m.csv", "1765650000000,100,106,100,106,1\n1765650060000,200,206,200,206,1\n");
  Prices first({state(), klines_path(), 1, {}});
  EXPECT_EQ(first.price("BTCUSDT", kNow), dec("100"));
  Prices later({state(), klines_path(), 1, {}});
  EXPECT_EQ(later.price("BTCUSDT", kNow + 70 * kSecond), dec("201"));
  EXPECT_EQ(first.price("BTCUSDT", kNow + 70 * kSecond), dec("201"));
}

TEST_F(PaperPrices, StartIsFirstMinuteAllSymbolsHave) {
  candles("BTCUSDT-1m.csv", "1765650120000,100,100,100,100,1\n");
  candles("ETHUSDT-1m.csv", "1765650000000,1,1,1,1,1\n1765650120000,2,2,2,2,1\n");
  Prices prices({state(), klines_path(), 1, {}});
  EXPECT_EQ(prices.price("ETHUSDT", kNow), dec("2"));
}

TEST_F(PaperPrices, OtherPricesOnTheSameStateFolderAreRefused) {
  candles("BTCUSDT-1m.csv", "1765650000000,100,100,100,100,1\n");
  Prices({state(), klines_path(), 1, {}}).price("BTCUSDT", kNow);
  Prices walk({state(), "", 7, {}});
  EXPECT_THAT(error_of([&] { walk.price("BTCUSDT", kNow); }),
              ::testing::HasSubstr("made with other prices than random-walk seed=7"));
}

TEST_F(PaperPrices, BadCandleNamesFileLineAndValue) {
  candles("BTCUSDT-1m.csv", "open_time,open\n1765650000000,100,100,100,-5,1\n");
  EXPECT_THAT(
      error_of([&] {
        Prices({state(), klines_path(), 1, {}});
      }),
      ::testing::AllOf(::testing::HasSubstr("BTCUSDT-1m.csv:2"), ::testing::HasSubstr("\"-5\"")));
  EXPECT_THAT(error_of([&] {
                Prices({state(), root_ + "/none", 1, {}});
              }),
              ::testing::HasSubstr("none"));
}

RC_GTEST_PROP(PaperWalk, SamePriceForSameSeedSymbolAndTimeInAnyOrderOfAsking, ()) {
  std::string name = fs::temp_directory_path() / "sluice_walk_XXXXXX";
  const std::string root = ::mkdtemp(name.data());
  const auto seed = *rc::gen::arbitrary<uint32_t>();
  const auto steps = *rc::gen::nonEmpty(
      rc::gen::container<std::vector<int64_t>>(rc::gen::inRange<int64_t>(0, 30 * 86'400)));
  Prices forward({root, "", seed, {}});
  Prices backward({root, "", seed, {}});
  std::vector<Decimal> seen;
  for (const int64_t step : steps)
    seen.push_back(forward.price("ETHUSDT", kNow + step * kSecond).value());
  for (size_t i = steps.size(); i-- > 0;) {
    const auto price = backward.price("ETHUSDT", kNow + steps[i] * kSecond);
    RC_ASSERT(price == seen[i]);
    RC_ASSERT(price->is_multiple_of(dec("0.01")));
    RC_ASSERT(*price > dec("2600") && *price < dec("3400"));
  }
  fs::remove_all(root);
}

TEST_F(PaperPrices, WalkMovesAndDiffersBySeedAndSymbol) {
  Prices one({state() + "1", "", 1, {}});
  Prices two({state() + "2", "", 2, {}});
  EXPECT_FALSE(one.price("BTCUSDT", kNow) == two.price("BTCUSDT", kNow));
  EXPECT_FALSE(one.price("BTCUSDT", kNow) == one.price("BTCUSDT", kNow + 60 * kSecond));
  EXPECT_FALSE(one.price("AAAUSDT", kNow) == one.price("BBBUSDT", kNow));
  EXPECT_EQ(two.source(), "seeded random walk, seed 2");
}

// The table of binance_usdm.md 10.1, market orders, at mark 97123.4.
TEST(PaperFilters, ReferenceTableIsKept) {
  const Filters filters{dec("0.10"), dec("0.001"), dec("0.001"), dec("120"), dec("100")};
  const Decimal mark = dec("97123.4");
  struct Row {
    const char* quantity;
    bool reduce_only;
    int code;
  };
  for (const Row& row :
       {Row{"0.0019999", false, -4023}, Row{"0.001", false, -4164}, Row{"0.001", true, 0},
        Row{"0.002", false, 0}, Row{"120", false, 0}, Row{"120.001", false, -4005},
        Row{"0.0005", true, -4004}, Row{"0", false, -4003}, Row{"-1", false, -4003}}) {
    const auto refusal = check_market_order(filters, dec(row.quantity), mark, row.reduce_only);
    EXPECT_EQ(refusal ? refusal->code : 0, row.code) << row.quantity;
  }
  EXPECT_EQ(dec("0.0029999").towards_zero_to(filters.qty_step), dec("0.002"));
  EXPECT_EQ(dec("120.0004").towards_zero_to(filters.qty_step), dec("120"));
}

TEST(PaperFilters, GivenOverridesBuiltInOverridesPriceRule) {
  const auto [table, fault] = parse_filters({"BTCUSDT:notional=5", "NEWUSDT:tick=0.5:step=2"});
  ASSERT_EQ(fault, "");
  EXPECT_EQ(filters_for(table, "BTCUSDT", dec("9")).notional_min, dec("5"));
  EXPECT_EQ(filters_for(table, "BTCUSDT", dec("9")).qty_step, dec("0.001"));
  EXPECT_EQ(filters_for(table, "NEWUSDT", dec("9")).qty_min, dec("2"));
  EXPECT_EQ(filters_for(table, "SOLUSDT", dec("9")).qty_step, dec("0.01"));
  EXPECT_EQ(filters_for(table, "OTHERUSDT", dec("5")).price_tick, dec("0.0001"));
}

TEST(PaperFilters, FaultyTextIsNamed) {
  for (const char* text : {"BTCUSDT", ":tick=1", "BTCUSDT:tick=0", "BTCUSDT:tock=1",
                           "BTCUSDT:tick=x", "BTCUSDT:step=-1"}) {
    EXPECT_THAT(parse_filters({text}).second, ::testing::HasSubstr(text));
  }
}

TEST_F(PaperFills, RoundTripKeepsExactMoney) {
  Exchange exchange(at_price("90000.1"));
  const Placed opened = exchange.place(buy("a", "0.003"), kNow, false);
  ASSERT_EQ(opened.kind, Placed::Kind::kAccepted);
  EXPECT_EQ(opened.order.status, "FILLED");
  EXPECT_EQ(opened.order.price, dec("90000.1"));
  EXPECT_EQ(opened.order.fee.text(), "0.10800012");
  EXPECT_EQ(opened.order.visible_us, kNow + 20'000);
  EXPECT_EQ(exchange.account().position("BTCUSDT").entry_price(), dec("90000.1"));
  EXPECT_EQ(exchange.account().position("BTCUSDT").unrealized(dec("90000.2"))->text(), "0.0003");

  ASSERT_EQ(exchange.place(close_long("b", "0.003"), kNow, false).kind, Placed::Kind::kAccepted);
  const Account account = exchange.account();
  EXPECT_TRUE(account.position("BTCUSDT").amount.is_zero());
  EXPECT_EQ(account.realized, Decimal(0));
  EXPECT_EQ(account.fees.text(), "0.21600024");
  EXPECT_EQ(account.balance.text(), "9999.78399976");
}

TEST_F(PaperFills, SlippageGoesAgainstTheOrderOnTheTick) {
  ExchangeSettings settings = at_price("90000.1");
  settings.slippage_bps = dec("1.5");
  Exchange exchange(settings);
  EXPECT_EQ(exchange.place(buy("a", "0.01"), kNow, false).order.price.text(), "90013.7");
  EXPECT_EQ(exchange.place(sell("b", "0.01"), kNow, false).order.price.text(), "89986.5");
}

TEST_F(PaperFills, ReducingOrderNeverTurnsThePosition) {
  Exchange exchange(at_price("90000"));
  EXPECT_EQ(exchange.place(close_long("a", "0.002"), kNow, false).refusal.code, -2022);
  exchange.place(buy("b", "0.003"), kNow, false);
  const Placed over = exchange.place(close_long("c", "0.005"), kNow, false);
  EXPECT_EQ(over.order.status, "EXPIRED");
  EXPECT_EQ(over.order.reason, "reduce_only_excess");
  EXPECT_EQ(over.order.executed, dec("0.003"));
  EXPECT_TRUE(exchange.account().position("BTCUSDT").amount.is_zero());
}

TEST_F(PaperFills, PlainOrderTurnsThePosition) {
  Exchange exchange(at_price("90000"));
  exchange.place(buy("a", "0.003"), kNow, false);
  exchange.place(sell("b", "0.005"), kNow, false);
  const Position position = exchange.account().position("BTCUSDT");
  EXPECT_EQ(position.amount, dec("-0.002"));
  EXPECT_EQ(position.entry_price(), dec("90000"));
}

// After the last close, profit is the exact difference of what was paid and received, however odd
// the shares in between.
RC_GTEST_PROP(PaperAccount, ProfitOfFlatAccountIsExactSumOfFills, ()) {
  Account account;
  Decimal received, amount;
  const auto fills = *rc::gen::container<std::vector<std::pair<int, int>>>(
      rc::gen::pair(rc::gen::inRange(-5000, 5000), rc::gen::inRange(1, 10'000'000)));
  const auto trade = [&](const Decimal& signed_quantity, const Decimal& price) {
    Order order;
    order.symbol = "X";
    order.is_buy = signed_quantity.is_positive();
    order.executed = signed_quantity.abs();
    order.price = price;
    RC_ASSERT(account.apply(order));
    received = received.minus(signed_quantity.times(price).value()).value();
    amount = amount.plus(signed_quantity).value();
    RC_ASSERT(account.position("X").amount == amount);
    RC_ASSERT(!account.position("X").cost.is_negative());
  };
  for (const auto& [quantity, price] : fills) {
    if (quantity != 0) trade(Decimal::from_scaled(quantity, 3), Decimal::from_scaled(price, 2));
  }
  if (!amount.is_zero()) trade(amount.negated(), dec("123.45"));
  RC_ASSERT(account.realized == received);
  RC_ASSERT(account.position("X").cost.is_zero());
}

TEST_F(PaperJournal, RestartRemembersOrdersPositionsAndMoney) {
  const ExchangeSettings settings = at_price("90000");
  Account before;
  {
    Exchange exchange(settings);
    exchange.place(buy("a", "0.002"), kNow, false);
    exchange.place(sell("b", "0.005"), kNow + kSecond, false);
    before = exchange.account();
  }
  Exchange again(settings);
  EXPECT_EQ(again.orders_loaded(), 2u);
  EXPECT_EQ(again.account().balance, before.balance);
  EXPECT_EQ(again.account().position("BTCUSDT").amount, dec("-0.003"));
  const auto order = again.find("b");
  ASSERT_TRUE(order);
  EXPECT_EQ(order->accepted_us, kNow + kSecond);
  EXPECT_EQ(order->executed, dec("0.005"));
  EXPECT_FALSE(again.find("c"));
  EXPECT_EQ(again.place(buy("c", "0.002"), kNow, false).order.order_id, 3);
}

TEST_F(PaperJournal, SecondOrderWithKnownClientIdIsRefusedAlsoAfterRestart) {
  const ExchangeSettings settings = at_price("90000");
  {
    Exchange exchange(settings);
    exchange.place(buy("a", "0.002"), kNow, false);
    EXPECT_EQ(exchange.place(buy("a", "0.002"), kNow, true).refusal.code, -4116);
  }
  Exchange again(settings);
  EXPECT_EQ(again.place(buy("a", "0.002"), kNow, true).refusal.code, -4116);
  EXPECT_EQ(again.account().position("BTCUSDT").amount, dec("0.002"));
}

// Every prefix of the file is what a crash may leave: whole orders are kept, a torn one is cut and
// can be placed anew.
TEST_F(PaperJournal, TornAtAnyByteKeepsWholeOrdersAndTakesNewOnes) {
  const ExchangeSettings settings = at_price("90000");
  {
    Exchange exchange(settings);
    exchange.place(buy("a", "0.002"), kNow, false);
    exchange.place(buy("b", "0.002"), kNow, false);
  }
  const std::string whole = read_text(journal());
  for (size_t cut = 0; cut <= whole.size(); ++cut) {
    write_text(journal(), whole.substr(0, cut));
    const auto lines = std::count(whole.begin(), whole.begin() + static_cast<long>(cut), '\n');
    const auto orders = static_cast<size_t>(std::max<long>(lines - 1, 0));
    {
      Exchange exchange(settings);
      ASSERT_EQ(exchange.orders_loaded(), orders) << "cut at " << cut;
      ASSERT_EQ(exchange.find("b").has_value(), orders == 2);
      ASSERT_EQ(exchange.place(buy("b", "0.002"), kNow, true).kind == Placed::Kind::kAccepted,
                orders < 2);
    }
    Exchange reopened(settings);
    ASSERT_EQ(reopened.bytes_cut(), 0u);
    ASSERT_EQ(reopened.orders_loaded(), std::min<size_t>(orders + 1, 2));
  }
}

TEST_F(PaperJournal, FlippedByteBeforeGoodLineIsRefusedWithItsPlace) {
  const ExchangeSettings settings = at_price("90000");
  {
    Exchange exchange(settings);
    exchange.place(buy("a", "0.002"), kNow, false);
    exchange.place(buy("b", "0.002"), kNow, false);
  }
  std::string text = read_text(journal());
  const size_t second = text.find('\n') + 1;
  text[second + 12] ^= 1;
  write_text(journal(), text);
  EXPECT_THAT(error_of([&] { Exchange exchange(settings); }),
              ::testing::HasSubstr("byte " + std::to_string(second)));
}

TEST_F(PaperJournal, SecondWriterIsRefusedAndSharedIsOne) {
  const ExchangeSettings settings = at_price("90000");
  const auto exchange = Exchange::shared(settings);
  EXPECT_EQ(Exchange::shared(settings), exchange);
  EXPECT_THAT(error_of([&] { Exchange other(settings); }), ::testing::HasSubstr("in use"));
}

TEST_F(PaperJournal, SharedIsOneFromTheStartUnderARelativeFolder) {
  ExchangeSettings settings = at_price("90000");
  const auto before = fs::current_path();
  fs::current_path(root_);
  settings.prices.state = "new/folder";
  const auto exchange = Exchange::shared(settings);
  const auto again = Exchange::shared(settings);
  fs::current_path(before);
  EXPECT_EQ(again, exchange);
}

TEST_F(PaperJournal, OrdersFromSeveralThreadsAreAllKeptOnce) {
  ExchangeSettings settings = at_price("90000");
  settings.sync = false;
  {
    Exchange exchange(settings);
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&exchange] {
        for (int i = 0; i < 50; ++i)
          exchange.place(buy("id-" + std::to_string(i), "0.002"), kNow, false);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  Exchange again(settings);
  EXPECT_EQ(again.orders_loaded(), 50u);
  EXPECT_EQ(again.account().position("BTCUSDT").amount, dec("0.1"));
}

// A child places orders and says so; whatever it said before it was killed is there afterwards.
TEST_F(PaperJournal, KilledWriterForgetsNothingItAnsweredAndDoublesNothing) {
  ExchangeSettings settings = at_price("90000");
  settings.sync = false;
  settings.balance = dec("1000000");
  size_t told = 0;
  for (int round = 0; round < 5; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      Exchange exchange(settings);
      for (int i = 0;; ++i) {
        const Placed placed = exchange.place(buy("id-" + std::to_string(i), "0.002"), kNow, true);
        const char byte = placed.kind == Placed::Kind::kAccepted ? '+' : '=';
        if (::write(pipe_ends[1], &byte, 1) != 1) ::_exit(1);
      }
    }
    ::close(pipe_ends[1]);
    size_t answers = 0;
    for (char byte = 0; answers < 40u + told && ::read(pipe_ends[0], &byte, 1) == 1; ++answers)
      EXPECT_EQ(byte, answers < told ? '=' : '+');
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::close(pipe_ends[0]);
    Exchange again(settings);
    ASSERT_GE(again.orders_loaded(), answers);
    for (size_t i = 0; i < answers; ++i) ASSERT_TRUE(again.find("id-" + std::to_string(i)));
    const Decimal orders(static_cast<int64_t>(again.orders_loaded()));
    ASSERT_EQ(again.account().position("BTCUSDT").amount, orders.times(dec("0.002")));
    told = again.orders_loaded();
  }
}

// A file size limit stands in for a full disk: the line may be written in part or whole.
TEST_F(PaperJournal, FailedWriteLeavesNoAnswerUntilRestart) {
  const ExchangeSettings settings = at_price("90000");
  {
    Exchange exchange(settings);
    exchange.place(buy("a", "0.002"), kNow, false);
    ::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const rlimit tight{fs::file_size(journal()) + 10, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &tight);
    const std::string error = error_of([&] { exchange.place(buy("b", "0.002"), kNow, false); });
    ::setrlimit(RLIMIT_FSIZE, &before);
    EXPECT_NE(error, "");
    EXPECT_NE(error_of([&] { exchange.find("b"); }), "");
    EXPECT_NE(error_of([&] { exchange.place(buy("b", "0.002"), kNow, true); }), "");
    EXPECT_EQ(exchange.account().position("BTCUSDT").amount, dec("0.002"));
  }
  Exchange again(settings);
  EXPECT_TRUE(again.find("a"));
  EXPECT_FALSE(again.find("b"));
  EXPECT_EQ(again.place(buy("b", "0.002"), kNow, true).kind, Placed::Kind::kAccepted);
}

// Two days of orders stay, the rest become sums; whoever follows the file sees the same account.
TEST_F(PaperJournal, CompactedJournalHasTheSameAccountAndRemembersNewOrders) {
  ExchangeSettings settings = at_price("90000.1");
  settings.sync = false;
  settings.journal_lines = 100;
  settings.slippage_bps = dec("1.5");
  constexpr int64_t kHour = 3600 * kSecond;
  AccountView view(state(), "paper");
  Account before;
  {
    Exchange exchange(settings);
    for (int i = 0; i < 400; ++i) {
      const int64_t now = kNow + i * 3 * kHour;
      const std::string id = "id-" + std::to_string(i);
      exchange.place(i % 3 == 2 ? sell(id, "0.005") : buy(id, "0.003"), now, false);
      view.at(now + kSecond);
    }
    before = exchange.account();
    EXPECT_FALSE(exchange.find("id-0"));
    EXPECT_TRUE(exchange.find("id-399"));
    EXPECT_TRUE(exchange.find("id-384"));
    EXPECT_GT(exchange.remembered_from(), kNow);
  }
  const std::string text = read_text(journal());
  EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 130);
  Exchange again(settings);
  EXPECT_EQ(again.account().balance, before.balance);
  EXPECT_EQ(again.account().realized, before.realized);
  EXPECT_EQ(again.account().position("BTCUSDT").amount, dec("0.136"));
  EXPECT_EQ(again.account().position("BTCUSDT").cost, before.position("BTCUSDT").cost);
  EXPECT_EQ(view.at(kNow + 400 * 3 * kHour).position("BTCUSDT").amount, dec("0.136"));
  EXPECT_EQ(again.place(buy("id-399", "0.003"), kNow + 400 * 3 * kHour, true).refusal.code, -4116);
  EXPECT_EQ(again.find("id-399")->order_id, 400);
}

// Whatever a crash left aside is not read, and does not stand in the way.
TEST_F(PaperJournal, HalfOfANewFileLeftAsideChangesNothing) {
  ExchangeSettings settings = at_price("90000");
  {
    Exchange exchange(settings);
    exchange.place(buy("a", "0.002"), kNow, false);
  }
  write_text(journal() + ".new", "deadbeef account 2 1\nhalf a li");
  Exchange again(settings);
  EXPECT_EQ(again.orders_loaded(), 1u);
  EXPECT_EQ(again.account().position("BTCUSDT").amount, dec("0.002"));
}

TEST_F(PaperJournal, SecondWriterIsRefusedAlsoAfterCompaction) {
  ExchangeSettings settings = at_price("90000");
  settings.sync = false;
  settings.journal_lines = 2;
  settings.remember_us = 0;
  Exchange exchange(settings);
  for (int i = 0; i < 10; ++i)
    exchange.place(buy("id-" + std::to_string(i), "0.002"), kNow + i * kSecond, false);
  EXPECT_GT(exchange.remembered_from(), 0);
  EXPECT_THAT(error_of([&] { Exchange other(settings); }), ::testing::HasSubstr("in use"));
}

// --- Stops ---

class PaperStops : public PaperTest {
 protected:
  // BTCUSDT falls from 90000 by 10 each second of its minute, then stands.
  ExchangeSettings falling() const {
    candles("BTCUSDT-1m.csv",
            "1765650000000,90000,90000,89400,89400,1\n1765650060000,89400,89400,89400,89400,1\n");
    ExchangeSettings settings;
    settings.prices = {state(), klines_path(), 1, {}};
    return settings;
  }
  static NewOrder stop(const std::string& id, const std::string& quantity,
                       const std::string& price) {
    return {id, "BTCUSDT", false, true, dec(quantity), dec(price)};
  }
};

TEST_F(PaperStops, TriggersAtTheFirstSecondWhoseMarkReachesIt) {
  for (const int64_t step : {kSecond, 7 * kSecond, 50 * kSecond}) {
    SCOPED_TRACE(step);
    fs::remove_all(state());
    Exchange exchange(falling());
    exchange.place(buy("a", "0.002"), kNow, false);
    ASSERT_EQ(exchange.place(stop("s", "0.002", "89800"), kNow, false).order.status, "NEW");
    for (int64_t now = kNow; now <= kNow + 50 * kSecond; now += step) exchange.advance(now);
    exchange.advance(kNow + 50 * kSecond);
    const auto ended = exchange.ended_since(0, kNow + 60 * kSecond);
    ASSERT_EQ(ended.size(), 1u);
    EXPECT_EQ(ended[0].status, "FILLED");
    EXPECT_EQ(ended[0].price, dec("89800"));
    EXPECT_EQ(ended[0].visible_us, kNow + 20 * kSecond + 20'000);
    EXPECT_TRUE(exchange.account().position("BTCUSDT").amount.is_zero());
  }
}

TEST_F(PaperStops, RestingStopAndItsEndSurviveARestart) {
  const ExchangeSettings settings = falling();
  {
    Exchange exchange(settings);
    exchange.place(buy("a", "0.004"), kNow, false);
    exchange.place(stop("s", "0.002", "89800"), kNow, false);
    exchange.place(stop("t", "0.001", "89000"), kNow, false);
  }
  {
    Exchange again(settings);
    EXPECT_EQ(again.open_stops("BTCUSDT").size(), 2u);
    again.advance(kNow + 30 * kSecond);
    EXPECT_EQ(again.cancel("t", kNow + 31 * kSecond, true).kind, Placed::Kind::kAccepted);
  }
  Exchange third(settings);
  const auto ended = third.ended_since(0, kNow + 60 * kSecond);
  ASSERT_EQ(ended.size(), 2u);
  EXPECT_EQ(ended[0].client_order_id, "s");
  EXPECT_EQ(ended[1].status, "CANCELED");
  EXPECT_EQ(third.ended_since(1, kNow + 60 * kSecond).size(), 1u);
  EXPECT_EQ(third.account().position("BTCUSDT").amount, dec("0.002"));
  AccountView view(state(), "paper");
  EXPECT_EQ(view.at(kNow + 10 * kSecond).position("BTCUSDT").amount, dec("0.004"));
  EXPECT_EQ(view.at(kNow + 60 * kSecond).position("BTCUSDT").amount, dec("0.002"));
}

TEST_F(PaperStops, UntoldEndsOutliveCompaction) {
  ExchangeSettings settings = falling();
  settings.sync = false;
  settings.journal_lines = 4;
  settings.remember_us = 0;
  Exchange exchange(settings);
  exchange.place(buy("a", "0.004"), kNow, false);
  exchange.place(stop("s", "0.002", "89800"), kNow, false);
  exchange.place(stop("open", "0.001", "80000"), kNow, false);
  const auto trade = [&](int from) {
    for (int i = from; i < from + 20; ++i)
      exchange.place(buy("id-" + std::to_string(i), "0.002"), kNow + (30 + i) * kSecond, false);
  };
  trade(0);
  EXPECT_TRUE(exchange.find("s"));
  exchange.told(1);
  trade(20);
  EXPECT_FALSE(exchange.find("s"));
  EXPECT_TRUE(exchange.find("open"));
  EXPECT_EQ(exchange.account().position("BTCUSDT").amount, dec("0.082"));
}

TEST_F(PaperStops, RefusalsHaveTheCodesOfTheExchange) {
  Exchange exchange(falling());
  EXPECT_EQ(exchange.place(stop("a", "0.002", "89000"), kNow, false).refusal.code, -2022);
  exchange.place(buy("b", "0.002"), kNow, false);
  EXPECT_EQ(exchange.place(stop("c", "0.002", "90000"), kNow, false).refusal.code, -2021);
  EXPECT_EQ(exchange.place(stop("d", "0.002", "89000.05"), kNow, false).refusal.code, -4014);
  EXPECT_EQ(exchange.place(stop("e", "0.002", "-1"), kNow, false).refusal.code, -4006);
  NewOrder opening = stop("f", "0.002", "89000");
  opening.reduce_only = false;
  EXPECT_EQ(exchange.place(opening, kNow, false).refusal.code, -2026);
  EXPECT_EQ(exchange.cancel("none", kNow, false).refusal.code, -2011);
  EXPECT_EQ(exchange.cancel("b", kNow, false).refusal.code, -2011);
}

TEST_F(PaperFaults, MoneyThatIsBoundAsMarginOpensNothing) {
  ExchangeSettings settings = at_price("90000");
  settings.balance = dec("100");
  Exchange exchange(settings);
  EXPECT_EQ(exchange.place(buy("a", "0.012"), kNow, false).refusal.code, -2019);
  EXPECT_EQ(exchange.place(buy("b", "0.010"), kNow, false).kind, Placed::Kind::kAccepted);
  EXPECT_EQ(exchange.place(buy("c", "0.002"), kNow, false).refusal.code, -2019);
  EXPECT_EQ(exchange.place(close_long("d", "0.010"), kNow, false).kind, Placed::Kind::kAccepted);
}

TEST_F(PaperFaults, UnusableClientIdIsRefused) {
  Exchange exchange(at_price("90000"));
  for (const char* id : {"", "has space", "line\nbreak", "1234567890123456789012345678901234567"})
    EXPECT_EQ(exchange.place(buy(id, "0.002"), kNow, false).refusal.code, -4015) << id;
}

// Counts over a thousand ids, and the same answers from a second exchange asked backwards.
TEST_F(PaperFaults, RatesDecideByClientIdAndNotByOrderOfCalls) {
  ExchangeSettings settings = at_price("90000");
  settings.sync = false;
  settings.balance = dec("1000000");
  settings.reject_rate = 0.3;
  settings.timeout_rate = 0.4;
  settings.partial_fill_rate = 0.5;
  const auto run = [&](const std::string& account, bool backwards) {
    settings.account = account;
    Exchange exchange(settings);
    std::map<std::string, std::string> seen;
    for (int i = 0; i < 1000; ++i) {
      const std::string id = "id-" + std::to_string(backwards ? 999 - i : i);
      const Placed placed = exchange.place(buy(id, "0.02"), kNow, false);
      const auto found = exchange.find(id);
      seen[id] = std::to_string(static_cast<int>(placed.kind)) + placed.refusal.word +
                 (found ? found->status + found->executed.text() : "none");
    }
    return seen;
  };
  const auto forward = run("one", false);
  EXPECT_EQ(forward, run("two", true));
  std::map<std::string, int> counts;
  for (const auto& [id, text] : forward)
    ++counts[text.substr(0, 1) + (text.ends_with("none") ? "-" : "+")];
  EXPECT_NEAR(counts["2-"], 200 + 200 * 0.3, 60);  // unknown: lost, or refused without a word
  EXPECT_NEAR(counts["2+"], 200 * 0.7, 50);        // unknown, but accepted
  EXPECT_NEAR(counts["1-"], 600 * 0.3, 60);
  EXPECT_NEAR(counts["0+"], 600 * 0.7, 60);
}

TEST_F(PaperFaults, LostOrderIsTakenAtTheNextTryAndOnlyThen) {
  ExchangeSettings settings = at_price("90000");
  settings.timeout_rate = 1;
  Exchange exchange(settings);
  int lost = 0;
  for (int i = 0; i < 20; ++i) {
    const std::string id = "id-" + std::to_string(i);
    EXPECT_EQ(exchange.place(buy(id, "0.002"), kNow, false).kind, Placed::Kind::kUnknown);
    if (exchange.find(id)) continue;
    ++lost;
    EXPECT_EQ(exchange.place(buy(id, "0.002"), kNow, true).kind, Placed::Kind::kAccepted);
  }
  EXPECT_GT(lost, 0);
  EXPECT_LT(lost, 20);
  EXPECT_EQ(exchange.account().position("BTCUSDT").amount, dec("0.04"));
}

TEST_F(PaperFaults, PartialFillExpiresTheRestOnTheStep) {
  ExchangeSettings settings = at_price("90000");
  settings.partial_fill_rate = 1;
  Exchange exchange(settings);
  const Order order = exchange.place(buy("a", "0.010"), kNow, false).order;
  EXPECT_EQ(order.status, "EXPIRED");
  EXPECT_EQ(order.reason, "partial_fill");
  EXPECT_TRUE(order.executed.is_multiple_of(dec("0.001")));
  EXPECT_TRUE(order.executed >= dec("0.002") && order.executed <= dec("0.007"));
  EXPECT_EQ(exchange.account().position("BTCUSDT").amount, order.executed);
}

TEST_F(PaperView, FollowsTheWriterAndShowsFillsAfterTheLatency) {
  AccountView view(state(), "paper");
  EXPECT_TRUE(view.at(kNow).position("BTCUSDT").amount.is_zero());
  Exchange exchange(at_price("90000"));
  exchange.place(buy("a", "0.002"), kNow, false);
  EXPECT_TRUE(view.at(kNow + 19'999).position("BTCUSDT").amount.is_zero());
  EXPECT_EQ(view.at(kNow + 20'000).position("BTCUSDT").amount, dec("0.002"));
  exchange.place(buy("b", "0.003"), kNow + kSecond, false);
  EXPECT_EQ(view.at(kNow + 2 * kSecond).position("BTCUSDT").amount, dec("0.005"));
  EXPECT_EQ(view.at(kNow + 3 * kSecond).position("BTCUSDT").amount, dec("0.005"));
}

TEST_F(PaperView, LineStillBeingWrittenWaitsAndDamageIsAnError) {
  {
    Exchange exchange(at_price("90000"));
    exchange.place(buy("a", "0.002"), kNow, false);
  }
  const std::string whole = read_text(journal());
  write_text(journal(), whole.substr(0, whole.size() - 5));
  AccountView view(state(), "paper");
  EXPECT_TRUE(view.at(kNow + kSecond).position("BTCUSDT").amount.is_zero());
  write_text(journal(), whole);
  EXPECT_EQ(view.at(kNow + kSecond).position("BTCUSDT").amount, dec("0.002"));
  std::string bad = whole;
  bad[whole.find('\n') + 15] ^= 1;
  write_text(journal(), bad);
  AccountView other(state(), "paper");
  EXPECT_THAT(error_of([&] { other.at(kNow + kSecond); }), ::testing::HasSubstr("bad line"));
}

}  // namespace
}  // namespace sluice::paper
