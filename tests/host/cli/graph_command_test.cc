#include "cli/graph_command.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "graph/draw.h"

namespace sluice::cli {
namespace {

TEST(DotToSvg, MissingGraphvizNamesTheRemedy) {
  const auto svg = dot_to_svg("digraph {}", "sluice-no-such-program");
  ASSERT_FALSE(svg);
  EXPECT_EQ(svg.status().code(), Code::kNotFound);
  EXPECT_NE(svg.status().text().find("apt-get install graphviz"), std::string::npos)
      << svg.status().text();
}

// What draw_dot writes is for graphviz to judge.
TEST(DotToSvg, DrawingOfAPipelineIsAccepted) {
  graph::Picture picture{"tr\"ade", {"<caption> & more"}, {}, {}};
  using Shape = graph::Picture::Shape;
  for (const Shape shape : {Shape::kStage, Shape::kSource, Shape::kExternal, Shape::kStream,
                            Shape::kFromOutside, Shape::kEnd, Shape::kDeadLetter, Shape::kKeys}) {
    const std::string id = "node:" + std::to_string(static_cast<int>(shape)) + "\"\\";
    picture.nodes.push_back({id, shape, "a<b>&\"c\"", {"permit:{id}"}, graph::Change::kAdded});
    picture.edges.push_back({picture.nodes.front().id, id, graph::Picture::Line::kFeedback,
                             "group <x>", graph::Change::kRemoved});
  }
  const auto svg = dot_to_svg(graph::draw_dot(picture));
  if (!svg && svg.status().code() == Code::kNotFound) GTEST_SKIP() << "graphviz is not installed";
  ASSERT_TRUE(svg) << svg.status().text();
  EXPECT_NE(svg->find("permit:{id}"), std::string::npos);
  EXPECT_NE(svg->find("group &lt;x&gt;"), std::string::npos);
}

TEST(DotToSvg, FailingProgramIsAnErrorWithItsStatus) {
  const auto svg = dot_to_svg("digraph {}", "false");
  ASSERT_FALSE(svg);
  EXPECT_NE(svg.status().text().find("status 1"), std::string::npos) << svg.status().text();
}

TEST(DotToSvg, LargeDrawingComesBackWhole) {
  std::string script = (std::filesystem::temp_directory_path() / "sluice-dot-XXXXXX").string();
  const int fd = mkstemp(script.data());
  ASSERT_GE(fd, 0);
  // Writes while it reads, which would block both sides of a pair of pipes.
  constexpr std::string_view kText = "#!/bin/sh\ncat\n";
  ASSERT_EQ(write(fd, kText.data(), kText.size()), static_cast<ssize_t>(kText.size()));
  fchmod(fd, 0700);
  close(fd);
  const std::string drawing(1 << 20, 'x');
  const auto svg = dot_to_svg(drawing, script);
  std::filesystem::remove(script);
  ASSERT_TRUE(svg) << svg.status().text();
  EXPECT_EQ(*svg, drawing);
}

}  // namespace
}  // namespace sluice::cli
