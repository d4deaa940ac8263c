#include "server/listen/unix_users.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace actserve {
namespace {

// The further groups of the user at the other end.
std::vector<gid_t> GroupsAt(int unix_fd) {
  std::vector<gid_t> groups(16);
  while (true) {
    auto size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    if (getsockopt(unix_fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) ==
        0) {
      groups.resize(size / sizeof(gid_t));
      return groups;
    }
    if (errno != ERANGE) return {};
    groups.resize(size / sizeof(gid_t));
  }
}

bool Contains(const std::vector<gid_t>& some, gid_t wanted) {
  return std::ranges::find(some, wanted) != some.end();
}

}  // namespace

std::optional<ucred> UserAt(int unix_fd) {
  ucred user = {};
  socklen_t size = sizeof(user);
  if (getsockopt(unix_fd, SOL_SOCKET, SO_PEERCRED, &user, &size) != 0) {
    return std::nullopt;
  }
  return user;
}

bool MayConnect(const UnixUsers& users, int unix_fd) {
  const std::optional<ucred> user = UserAt(unix_fd);
  if (!user) return false;
  if (user->uid == 0 || user->uid == geteuid() ||
      std::ranges::find(users.uids, user->uid) != users.uids.end() ||
      Contains(users.gids, user->gid)) {
    return true;
  }
  return !users.gids.empty() &&
         std::ranges::any_of(GroupsAt(unix_fd), [&](gid_t group) {
           return Contains(users.gids, group);
         });
}

}  // namespace actserve
