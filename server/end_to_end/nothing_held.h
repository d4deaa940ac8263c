#ifndef ACTSERVE_SERVER_END_TO_END_NOTHING_HELD_H_
#define ACTSERVE_SERVER_END_TO_END_NOTHING_HELD_H_

#include <gtest/gtest.h>
#include <signal.h>

#include <string>

#include "absl/strings/match.h"
#include "server/testing/server_process.h"

namespace actserve::testing {

// Ends the server, whose last words are what the calls still hold.
inline void ExpectNothingHeld(ServerProcess& server) {
  server.Signal(SIGTERM);
  ASSERT_TRUE(server.WaitForEvent("scheduler"));
  EXPECT_EQ(server.Wait(), 0);
  for (const std::string& line : server.log()) {
    if (!absl::StrContains(line, "\"event\":\"scheduler\"")) continue;
    EXPECT_TRUE(
        absl::StrContains(line, "\"request_bytes\":0,\"result_bytes\":0"))
        << line;
  }
}

}  // namespace actserve::testing

#endif  // ACTSERVE_SERVER_END_TO_END_NOTHING_HELD_H_
