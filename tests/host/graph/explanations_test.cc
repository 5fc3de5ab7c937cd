// Every code is explained, and the examples do what they say: the faulty form, put into
// pipelines/trade.yaml, has exactly the finding it stands for, and the mended form has none.
#include "graph/explanations.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "host/graph/pipeline_fixture.h"

namespace sluice::graph {
namespace {

std::vector<std::string> lines_of(std::string_view text) {
  std::istringstream in{std::string(text)};
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST(Explanations, EveryCodeHasEachPart) {
  std::string missing;
  for (const FaultInfo& info : fault_table()) {
    const Explanation& texts = explanation(info.fault);
    if (texts.cause.empty() || texts.example.empty() || texts.remedy.empty())
      missing += " " + fault_code(info.fault);
  }
  EXPECT_EQ(missing, "") << "codes to explain in host/graph/explanations.cc:" << missing;
}

TEST(Explanations, LinesFitATerminalAndEndClean) {
  for (const FaultInfo& info : fault_table()) {
    const Explanation& texts = explanation(info.fault);
    for (const std::string_view text : {texts.cause, texts.example, texts.remedy}) {
      EXPECT_FALSE(text.ends_with('\n')) << fault_code(info.fault);
      for (const std::string& line : lines_of(text)) {
        EXPECT_LE(line.size(), 90u) << line;
        EXPECT_FALSE(line.ends_with(' ')) << line;
      }
    }
  }
}

// An example in its two forms.
struct Forms {
  std::string faulty, mended;
};

Forms forms_of(std::string_view example) {
  Forms forms;
  bool mended = false;
  for (const std::string& line : lines_of(example)) {
    if (line == "# instead:") {
      mended = true;
    } else if (line == "-- instead:") {
      mended = true;
      forms.mended = forms.faulty.substr(0, forms.faulty.find('\n') + 1);  // the file's name
    } else {
      (mended ? forms.mended : forms.faulty) += line + '\n';
    }
  }
  return forms;
}

// Keys by indentation, each with its lines: enough YAML to lay one file over another.
struct Block {
  std::string key, text;  // `text`: the key's own line, and those below that are no keys
  std::vector<Block> below;
  bool laid = false;
};

size_t indent_of(const std::string& line) {
  return std::min(line.find_first_not_of(' '), line.size());
}

// The key of `line`; empty when it is a comment, part of a value or the like.
std::string key_of(const std::string& line) {
  const size_t start = indent_of(line);
  const size_t end = line.find(':', start);
  if (end == std::string::npos || line[start] == '#' || line[start] == '\t') return "";
  return line.substr(start, end - start);
}

std::vector<Block> blocks_of(const std::vector<std::string>& lines, size_t& at, size_t indent) {
  std::vector<Block> blocks;
  while (at < lines.size()) {
    const std::string key = key_of(lines[at]);
    if (key.empty()) {
      if (blocks.empty()) blocks.emplace_back();
      blocks.back().text += lines[at++] + '\n';
      continue;
    }
    const size_t depth = indent_of(lines[at]);
    if (depth < indent) break;
    if (depth > indent && !blocks.empty()) {
      auto below = blocks_of(lines, at, depth);
      std::ranges::move(below, std::back_inserter(blocks.back().below));
      continue;
    }
    blocks.push_back({key, lines[at++] + '\n', {}});
  }
  return blocks;
}

std::vector<Block> blocks_of(std::string_view text) {
  size_t at = 0;
  return blocks_of(lines_of(text), at, 0);
}

// Each key of `top` takes the place of its namesake; maps in block form are laid key by key.
void lay_over(std::vector<Block>& base, const std::vector<Block>& top) {
  for (const Block& block : top) {
    const auto same =
        std::ranges::find_if(base, [&](const Block& b) { return b.key == block.key && !b.laid; });
    if (same == base.end()) {
      base.push_back(block);
      base.back().laid = true;
    } else if (!block.below.empty() && !same->below.empty()) {
      lay_over(same->below, block.below);
    } else {
      *same = block;
      same->laid = true;
    }
  }
}

std::string text_of(const std::vector<Block>& blocks) {
  std::string text;
  for (const Block& block : blocks) text += block.text + text_of(block.below);
  return text;
}

class Examples : public PipelineFiles, public testing::WithParamInterface<FaultInfo> {
 protected:
  Examples() {
    const std::filesystem::path source = SLUICE_SOURCE_DIR;
    for (const char* folder : {"pipelines", "lua"})
      std::filesystem::copy(source / folder, std::filesystem::path(folder_) / folder,
                            std::filesystem::copy_options::recursive |
                                std::filesystem::copy_options::overwrite_existing);
    std::ifstream file(source / "pipelines/trade.yaml");
    base_.assign(std::istreambuf_iterator<char>(file), {});
    write("secrets/account", "paper\n");
    std::filesystem::create_directories(folder_ + "/data/klines");
    variables_["REDIS_URL"] = "redis://10.0.0.5:6379";
  }

  static const plugin::Catalog& shipped() {
    static const plugin::Catalog catalog = [] {
      auto scanned = plugin::Catalog::scan(SLUICE_BINARY_DIR "/plugins");
      EXPECT_TRUE(scanned) << scanned.status().text();
      return std::move(scanned).value();
    }();
    return catalog;
  }

  // What is found in trade.yaml with `form` in it.
  std::vector<Finding> findings(const std::string& form) {
    std::string text = base_;
    if (form.starts_with("-- lua/")) {
      write(form.substr(3, form.find('\n') - 3), form);
    } else {
      std::vector<Block> blocks = blocks_of(base_);
      lay_over(blocks, blocks_of(form));
      text = text_of(blocks);
    }
    write("pipelines/trade.yaml", text);
    LoadOptions options;
    options.environment = variables_;
    options.redis = GetParam().fault != Fault::kEngineMissing;
    return load_pipeline(folder_ + "/pipelines/trade.yaml", shipped(), options).findings;
  }

  static std::string texts(const std::vector<Finding>& findings) {
    std::string text;
    for (const Finding& finding : findings) text += finding_text(finding);
    return text;
  }

  std::string base_;
};

// What may be found beside it, since a stream is left without its only writer.
const std::map<Fault, std::set<std::string>> kConsequences = {
    {Fault::kWiringForm, {"S0204"}}, {Fault::kNoDeadLetter, {"S0204", "S0205"}}};

TEST_P(Examples, FaultyFormHasTheFindingAndMendedFormNone) {
  const FaultInfo& info = GetParam();
  const Forms forms = forms_of(explanation(info.fault).example);
  ASSERT_NE(forms.faulty, "");
  ASSERT_NE(forms.mended, "") << "an example needs a line \"# instead:\"";

  const std::vector<Finding> faulty = findings(forms.faulty);
  std::set<std::string> codes;
  for (const Finding& finding : faulty) codes.insert(finding.code);
  if (const auto more = kConsequences.find(info.fault); more != kConsequences.end())
    for (const std::string& code : more->second) codes.erase(code);
  EXPECT_EQ(codes, std::set<std::string>{fault_code(info.fault)}) << texts(faulty);

  const std::vector<Finding> mended = findings(forms.mended);
  EXPECT_TRUE(mended.empty()) << texts(mended);
}

// All but those that show commands or other files, and the one that stands for 50,000 values.
std::vector<FaultInfo> proved() {
  std::vector<FaultInfo> faults;
  for (const FaultInfo& info : fault_table()) {
    const std::string_view example = explanation(info.fault).example;
    if (!example.empty() && !example.starts_with("$ ") && !example.starts_with("# ") &&
        info.fault != Fault::kTooManyNodes)
      faults.push_back(info);
  }
  return faults;
}

INSTANTIATE_TEST_SUITE_P(Codes, Examples, testing::ValuesIn(proved()),
                         [](const auto& test) { return fault_code(test.param.fault); });

}  // namespace
}  // namespace sluice::graph
