#include "redis/handles.h"

namespace sluice::redis {

using Shared = std::shared_lock<std::shared_mutex>;
using Exclusive = std::unique_lock<std::shared_mutex>;

OpenStream& Handles::open_stream(std::string_view name) {
  Exclusive lock(mutex_);
  if (const auto known = names_.find(name); known != names_.end())
    return streams_[known->second - 1];
  OpenStream& stream = streams_.emplace_back();
  stream.name = name;
  stream.id = static_cast<StreamId>(streams_.size());
  names_.emplace(name, stream.id);
  return stream;
}

OpenGroup& Handles::open_group(OpenStream& stream, std::string_view name) {
  Exclusive lock(mutex_);
  for (const GroupId id : stream.groups) {
    if (groups_[id - 1].name == name) return groups_[id - 1];
  }
  OpenGroup& group = groups_.emplace_back();
  group.name = name;
  group.id = static_cast<GroupId>(groups_.size());
  group.stream = &stream;
  group.times = own_names_.times(stream.name, name);
  stream.groups.push_back(group.id);
  return group;
}

void Handles::set_options(OpenStream& stream, const stream::StreamOptions& options) {
  Exclusive lock(mutex_);
  stream.options = options;
  stream.room = 0;
}

stream::StreamOptions Handles::options(const OpenStream& stream) const {
  Shared lock(mutex_);
  return stream.options;
}

OpenStream* Handles::stream(StreamId id) const {
  Shared lock(mutex_);
  return id == 0 || id > streams_.size() ? nullptr : &streams_[id - 1];
}

OpenStream* Handles::stream(std::string_view name) const {
  Shared lock(mutex_);
  const auto known = names_.find(name);
  return known == names_.end() ? nullptr : &streams_[known->second - 1];
}

OpenGroup* Handles::group(GroupId id) const {
  Shared lock(mutex_);
  return id == 0 || id > groups_.size() ? nullptr : &groups_[id - 1];
}

OpenGroup* Handles::group(const OpenStream& stream, std::string_view name) const {
  Shared lock(mutex_);
  for (const GroupId id : stream.groups) {
    if (groups_[id - 1].name == name) return &groups_[id - 1];
  }
  return nullptr;
}

std::vector<OpenStream*> Handles::streams() const {
  Shared lock(mutex_);
  std::vector<OpenStream*> all;
  for (OpenStream& stream : streams_) all.push_back(&stream);
  return all;
}

std::vector<OpenGroup*> Handles::groups(const OpenStream& stream) const {
  Shared lock(mutex_);
  std::vector<OpenGroup*> all;
  for (const GroupId id : stream.groups) all.push_back(&groups_[id - 1]);
  return all;
}

}  // namespace sluice::redis
