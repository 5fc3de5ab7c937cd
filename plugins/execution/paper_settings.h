// Settings of the paper exchange, shared by every stage that opens it or looks at it.
#pragma once

#include <array>
#include <string>

#include "execution/paper_exchange.h"
#include "sluice/plugin.h"

namespace sluice::paper {

// Which account, and where prices come from: must be the same for all stages of an account.
inline constexpr const char* kExchanges[] = {"paper", nullptr};
inline constexpr sluice_param kAccountSettings[] = {
    {.name = "exchange",
     .doc = "Where orders go. The paper exchange fills them at recorded or invented prices.",
     .type = SLUICE_TEXT,
     .default_text = "paper",
     .choices = kExchanges},
    {.name = "state",
     .doc = "Folder of the paper exchange: journal of accepted orders, alignment of prices.",
     .type = SLUICE_TEXT,
     .unit = "path"},
    {.name = "account",
     .doc = "Name of the account in that folder: letters, digits, - and _.",
     .type = SLUICE_TEXT,
     .default_text = "paper"},
    {.name = "klines",
     .doc = "Folder of one-minute candles, <SYMBOL>*.csv. Empty: seeded random walk.",
     .type = SLUICE_TEXT,
     .unit = "input path",
     .default_text = ""},
    {.name = "seed",
     .doc = "Of the random walk and of the failure rates.",
     .type = SLUICE_INTEGER,
     .default_text = "1",
     .min_text = "0"},
    {.name = "filters",
     .doc = "Symbol filters that replace the built-in ones, each "
            "SYMBOL:tick=0.1:step=0.001:min=0.001:max=120:notional=100; parts may be left out.",
     .type = SLUICE_LIST,
     .default_text = ""},
};

template <size_t A, size_t B>
constexpr std::array<sluice_param, A + B> joined(const sluice_param (&a)[A],
                                                 const sluice_param (&b)[B]) {
  std::array<sluice_param, A + B> all{};
  for (size_t i = 0; i < A; ++i) all[i] = a[i];
  for (size_t i = 0; i < B; ++i) all[A + i] = b[i];
  return all;
}

// How the account trades and fails: for stages that send orders or watch them.
inline constexpr sluice_param kTradingSettings[] = {
    {.name = "balance",
     .doc = "Money of a new paper account; later starts read it from the journal.",
     .type = SLUICE_DECIMAL,
     .unit = "USDT",
     .default_text = "10000",
     .min_text = "0"},
    {.name = "fee_rate",
     .doc = "Fee of a fill as a share of its notional.",
     .type = SLUICE_DECIMAL,
     .default_text = "0.0004",
     .min_text = "0",
     .max_text = "0.1"},
    {.name = "slippage",
     .doc = "How much worse than the mark price orders fill.",
     .type = SLUICE_DECIMAL,
     .unit = "hundredths of a per cent",
     .default_text = "0",
     .min_text = "0",
     .max_text = "1000"},
    {.name = "margin_leverage",
     .doc = "A position needs its cost, divided by this, as margin.",
     .type = SLUICE_INTEGER,
     .default_text = "10",
     .min_text = "1",
     .max_text = "125"},
    {.name = "latency",
     .doc = "From acceptance of an order until its fill shows.",
     .type = SLUICE_DURATION,
     .default_text = "20ms",
     .min_text = "0s",
     .max_text = "60s"},
    {.name = "reject_rate",
     .doc = "Share of orders the paper exchange refuses. Decided by client order id.",
     .type = SLUICE_NUMBER,
     .default_text = "0",
     .min_text = "0",
     .max_text = "1"},
    {.name = "timeout_rate",
     .doc = "Share of orders whose outcome stays unknown at first; half of them are placed.",
     .type = SLUICE_NUMBER,
     .default_text = "0",
     .min_text = "0",
     .max_text = "1"},
    {.name = "late_rate",
     .doc = "Share of orders whose outcome stays unknown at first and that are placed up to 2 s "
            "later.",
     .type = SLUICE_NUMBER,
     .default_text = "0",
     .min_text = "0",
     .max_text = "1"},
    {.name = "throttle_rate",
     .doc = "Share of orders that must be sent twice: too many requests, or a clock that was off.",
     .type = SLUICE_NUMBER,
     .default_text = "0",
     .min_text = "0",
     .max_text = "1"},
    {.name = "partial_fill_rate",
     .doc = "Share of orders filled in part; the rest expires.",
     .type = SLUICE_NUMBER,
     .default_text = "0",
     .min_text = "0",
     .max_text = "1"},
    {.name = "slow_fill_rate",
     .doc = "Share of orders filled in two parts, one latency apart.",
     .type = SLUICE_NUMBER,
     .default_text = "0",
     .min_text = "0",
     .max_text = "1"},
    {.name = "stall_rate",
     .doc = "Share of orders filled in part whose rest stays open until it is cancelled.",
     .type = SLUICE_NUMBER,
     .default_text = "0",
     .min_text = "0",
     .max_text = "1"},
    {.name = "sync",
     .doc = "Whether an accepted order is on the disk before it counts. Off: it survives kill -9 "
            "but not a power cut.",
     .type = SLUICE_BOOLEAN,
     .default_text = "true"},
    {.name = "journal_lines",
     .doc = "With more lines the journal is compacted, once half of them can go. Orders of the two "
            "days before the newest one stay, and whatever is open.",
     .type = SLUICE_INTEGER,
     .unit = "lines",
     .default_text = "10000",
     .min_text = "100"},
};
inline constexpr auto kExchangeSettings = joined(kAccountSettings, kTradingSettings);

template <size_t A, size_t B>
constexpr std::array<sluice_param, A + B> joined(const std::array<sluice_param, A>& a,
                                                 const sluice_param (&b)[B]) {
  std::array<sluice_param, A + B> all{};
  for (size_t i = 0; i < A; ++i) all[i] = a[i];
  for (size_t i = 0; i < B; ++i) all[A + i] = b[i];
  return all;
}

// Throws SettingError.
inline PriceSettings price_settings(const Settings& settings) {
  auto [filters, fault] = parse_filters(settings.list("filters"));
  if (!fault.empty()) throw SettingError("filters", fault);
  if (settings.text("state").empty()) throw SettingError("state", "expected a folder, got \"\"");
  return {settings.text("state"), settings.text("klines"),
          static_cast<uint64_t>(settings.integer("seed")), std::move(filters)};
}

inline std::string account_setting(const Settings& settings) {
  const std::string account = settings.text("account");
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  if (account.empty() || account.find_first_not_of(kAllowed) != std::string::npos)
    throw SettingError("account", "expected letters, digits, - and _, got \"" + account + "\"");
  return account;
}

// Throws SettingError.
inline ExchangeSettings exchange_settings(const Settings& settings) {
  ExchangeSettings exchange;
  exchange.account = account_setting(settings);
  exchange.prices = price_settings(settings);
  exchange.balance = settings.decimal("balance");
  exchange.fee_rate = settings.decimal("fee_rate");
  exchange.slippage_bps = settings.decimal("slippage");
  exchange.leverage = Decimal(settings.integer("margin_leverage"));
  exchange.latency_us = settings.duration("latency").count();
  exchange.reject_rate = settings.number("reject_rate");
  exchange.timeout_rate = settings.number("timeout_rate");
  exchange.late_rate = settings.number("late_rate");
  exchange.throttle_rate = settings.number("throttle_rate");
  exchange.partial_fill_rate = settings.number("partial_fill_rate");
  exchange.slow_fill_rate = settings.number("slow_fill_rate");
  exchange.stall_rate = settings.number("stall_rate");
  exchange.sync = settings.boolean("sync");
  exchange.journal_lines = static_cast<size_t>(settings.integer("journal_lines"));
  return exchange;
}

}  // namespace sluice::paper
