// Reads what is written with the XML reader of Boost.
#include "harness/junit.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <boost/property_tree/ptree.hpp>
#include <boost/property_tree/xml_parser.hpp>
#include <sstream>

namespace sluice::harness {
namespace {

boost::property_tree::ptree read(const std::string& xml) {
  boost::property_tree::ptree tree;
  std::istringstream in(xml);
  read_xml(in, tree);
  return tree;
}

Outcome outcome(std::string name, std::vector<Failure> failures = {}) {
  Outcome outcome;
  outcome.name = std::move(name);
  outcome.place = {"a.test.yaml", 7, 3};
  outcome.took = std::chrono::milliseconds(1500);
  outcome.failures = std::move(failures);
  return outcome;
}

TEST(Junit, SuitesCasesAndFailuresAreWhereBuildServersLook) {
  Outcome failed = outcome("b", {{{"a.test.yaml", 9, 5}, "x: expected 1, got 2"}});
  failed.seen = {"out: { a: 1 }"};
  const auto tree = read(junit_text({{"a.test.yaml", "trade", {outcome("a"), failed}}}));
  EXPECT_EQ(tree.get<std::string>("testsuites.<xmlattr>.tests"), "2");
  EXPECT_EQ(tree.get<std::string>("testsuites.<xmlattr>.failures"), "1");
  const auto& suite = tree.get_child("testsuites.testsuite");
  EXPECT_EQ(suite.get<std::string>("<xmlattr>.name"), "a.test.yaml");
  EXPECT_EQ(suite.get<std::string>("<xmlattr>.time"), "3.000000");
  const auto& last = suite.back().second;
  EXPECT_EQ(last.get<std::string>("<xmlattr>.classname"), "trade");
  EXPECT_EQ(last.get<std::string>("<xmlattr>.file"), "a.test.yaml");
  EXPECT_EQ(last.get<std::string>("<xmlattr>.line"), "7");
  EXPECT_EQ(last.get<std::string>("failure.<xmlattr>.message"), "x: expected 1, got 2");
  EXPECT_EQ(last.get<std::string>("failure"),
            "a.test.yaml:9:5: x: expected 1, got 2\nsince the last expect:\nout: { a: 1 }\n");
}

TEST(Junit, AnyTextLeavesTheXmlWellFormed) {
  rc::check([](const std::string& name, const std::string& text) {
    const std::string xml = junit_text({{"f", "p", {outcome(name, {{{"f", 1, 1}, text}})}}});
    read(xml);  // throws when it is not
    for (const char c : xml)
      RC_ASSERT(c == '\n' || c == '\t' || static_cast<unsigned char>(c) >= 0x20);
  });
}

TEST(Junit, MarkupInNamesSurvives) {
  const std::string name = "a <b> & \"c\"\nd";
  const auto tree = read(junit_text({{"f", "p", {outcome(name)}}}));
  EXPECT_EQ(tree.get<std::string>("testsuites.testsuite.testcase.<xmlattr>.name"), name);
}

}  // namespace
}  // namespace sluice::harness
