#include "host/stream/conformance.h"

#include "engine/embedded_store.h"
#include "fixtures/sim_disk.h"

namespace sluice::stream::conformance {

namespace {

// The embedded engine on a disk in memory, with segments and checkpoints so small that every test
// crosses them.
class EmbeddedBackend final : public Backend {
 public:
  EmbeddedBackend() { open(); }

  Store& store() override { return *store_; }
  void advance(milliseconds by) override { clock_.advance(by); }
  WallTime now() const override { return clock_.now(); }
  void reopen() override {
    store_.reset();
    open();
  }
  void crash_and_reopen() override {
    disk_.kill();
    reopen();
  }

 private:
  void open() {
    engine::Options options;
    options.background = false;
    options.segment_bytes = 4096;
    options.checkpoint_bytes = 2048;
    options.cache_bytes = 1024;
    auto store = engine::EmbeddedStore::open("/store", options, disk_, clock_);
    ASSERT_TRUE(store.is_ok()) << store.status().text();
    store_ = std::move(store).value();
  }

  sluice::testing::SimDisk disk_;
  ManualClock clock_{from_ms(1'700'000'000'000)};
  std::unique_ptr<engine::EmbeddedStore> store_;
};

std::unique_ptr<Backend> make_embedded() { return std::make_unique<EmbeddedBackend>(); }

}  // namespace

INSTANTIATE_TEST_SUITE_P(Embedded, StoreConformance, ::testing::Values(&make_embedded));

}  // namespace sluice::stream::conformance
