#include "graph/key_flow.h"

#include <algorithm>
#include <utility>

namespace sluice::graph {
namespace {

constexpr char kAnyOne = '\1', kAnyMore = '\2';

// Both shapes can be read to the end side by side; a table of the ends already seen to meet.
bool shapes_overlap(const std::string& left, const std::string& right) {
  const size_t width = right.size() + 1;
  std::vector<bool> meets((left.size() + 1) * width);
  for (size_t i = left.size() + 1; i-- > 0;) {
    for (size_t j = width; j-- > 0;) {
      const bool has_left = i < left.size(), has_right = j < right.size();
      bool meet = !has_left && !has_right;
      if (has_left && left[i] == kAnyMore)
        meet = meets[(i + 1) * width + j] || (has_right && meets[i * width + j + 1]);
      if (!meet && has_right && right[j] == kAnyMore)
        meet = meets[i * width + j + 1] || (has_left && meets[(i + 1) * width + j]);
      if (!meet && has_left && has_right &&
          (left[i] == right[j] || left[i] == kAnyOne || right[j] == kAnyOne))
        meet = meets[(i + 1) * width + j + 1];
      meets[i * width + j] = meet;
    }
  }
  return meets[0];
}

// Who touches the keys of one shape; each list ascending.
struct Family {
  std::string shape, pattern;
  bool counter = false;
  std::vector<size_t> only_write, only_read, both;
};

std::vector<Family> families_of(const Pipeline& pipeline) {
  std::vector<Family> families;
  for (size_t i = 0; i < pipeline.stages.size(); ++i) {
    if (pipeline.stages[i].kind == nullptr) continue;
    for (const plugin::KeyFamily& keys : pipeline.stages[i].kind->keys) {
      const std::string shape = shape_of(keys.pattern);
      auto family = std::ranges::find_if(families, [&](const Family& known) {
        return known.shape == shape && known.counter == keys.counter;
      });
      if (family == families.end())
        family = families.insert(family, {shape, keys.pattern, keys.counter, {}, {}, {}});
      // What is taken was written by another stage.
      const bool reads = keys.reads || keys.takes;
      std::vector<size_t>& touched = keys.counter || !reads       ? family->only_write
                                     : keys.writes && !keys.takes ? family->both
                                                                  : family->only_read;
      if (touched.empty() || touched.back() != i) touched.push_back(i);
    }
  }
  return families;
}

void add_all(std::vector<size_t>& into, const std::vector<size_t>& more) {
  into.insert(into.end(), more.begin(), more.end());
  std::ranges::sort(into);
  into.erase(std::unique(into.begin(), into.end()), into.end());
}

// "permit:{}" of the shape; two patterns of one shape differ in names only.
std::string id_of(const std::string& shape) {
  std::string id;
  for (const char c : shape) id += c == kAnyOne ? "{" : c == kAnyMore ? "}" : std::string(1, c);
  return id;
}

KeyFlow flow_of(const Family& family) {
  KeyFlow flow{id_of(family.shape), family.pattern, family.only_write, family.only_read,
               family.counter};
  // Who reads and writes what nobody else writes keeps state there; otherwise it takes what comes.
  if (family.only_write.empty() || !family.only_read.empty()) add_all(flow.writers, family.both);
  if (!family.only_write.empty() || family.both.size() > 1) add_all(flow.readers, family.both);
  return flow;
}

}  // namespace

std::string shape_of(std::string_view pattern) {
  std::string shape;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const size_t end = pattern[i] == '{' ? pattern.find('}', i) : pattern.npos;
    if (end == pattern.npos) {
      shape += pattern[i];
      continue;
    }
    shape += {kAnyOne, kAnyMore};
    i = end;
  }
  return shape;
}

bool patterns_overlap(std::string_view left, std::string_view right) {
  return shapes_overlap(shape_of(left), shape_of(right));
}

std::vector<KeyFlow> key_flows(const Pipeline& pipeline) {
  const std::vector<Family> families = families_of(pipeline);
  std::vector<KeyFlow> flows;
  for (const Family& family : families) {
    KeyFlow flow = flow_of(family);
    if (flow.is_from_outside()) {
      for (const Family& other : families) {
        if (other.counter || !shapes_overlap(family.shape, other.shape)) continue;
        add_all(flow.writers, flow_of(other).writers);
      }
    }
    flows.push_back(std::move(flow));
  }
  std::ranges::stable_sort(flows, {}, [&](const KeyFlow& flow) {
    return flow.writers.empty() ? pipeline.stages.size() : flow.writers.front();
  });
  return flows;
}

}  // namespace sluice::graph
