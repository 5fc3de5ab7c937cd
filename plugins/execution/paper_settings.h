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

}  // namespace sluice::paper
