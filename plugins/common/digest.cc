#include "common/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>
#include <stdexcept>

namespace sluice::trade {

namespace {

// Made once a thread: looking SHA-256 up and making a context takes longer than a short digest.
class Sha256 {
 public:
  Sha256()
      : kind_(EVP_MD_fetch(nullptr, "SHA256", nullptr), EVP_MD_free),
        context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {}

  bool digest(std::string_view bytes, unsigned char* out, unsigned int& size) {
    return kind_ && context_ && EVP_DigestInit_ex2(context_.get(), kind_.get(), nullptr) == 1 &&
           EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1 &&
           EVP_DigestFinal_ex(context_.get(), out, &size) == 1;
  }

 private:
  std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)> kind_;
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

std::string sha256_hex(std::string_view bytes, size_t digits) {
  static thread_local Sha256 sha256;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  if (!sha256.digest(bytes, digest.data(), size)) throw std::runtime_error("SHA-256 failed");
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex(std::min(digits, size_t{2} * size), '0');
  for (size_t i = 0; i < hex.size(); ++i)
    hex[i] = kDigits[i % 2 == 0 ? digest[i / 2] >> 4 : digest[i / 2] & 0x0f];
  return hex;
}

}  // namespace sluice::trade
