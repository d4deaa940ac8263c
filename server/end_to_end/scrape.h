// A client of the metrics endpoint, for tests.

#ifndef ACTSERVE_SERVER_END_TO_END_SCRAPE_H_
#define ACTSERVE_SERVER_END_TO_END_SCRAPE_H_

#include <map>
#include <string>

#include "server/testing/server_process.h"

namespace actserve::testing {

// Where a server that was started with --metrics serves them, as its log says:
// "127.0.0.1:9464".
std::string MetricsAddressOf(const ServerProcess& server);

// Connects to "127.0.0.1:port" from an address of this host, such as
// "127.0.0.2", or to "[::1]:port" from "::1". Returns the socket; -1 if nobody
// listens.
int ConnectFrom(const std::string& source, const std::string& address);

// Sends `request` and returns all that comes until the server closes the
// connection; what came so far if 20 s pass.
std::string Exchange(int socket, const std::string& request);

// The text of GET /metrics; "" if that fails.
std::string Scrape(const std::string& address,
                   const std::string& source = "127.0.0.1");

// The series of a text and their values: {"up{job=\"a\"}", 1}.
std::map<std::string, double> SeriesOf(const std::string& text);

}  // namespace actserve::testing

#endif  // ACTSERVE_SERVER_END_TO_END_SCRAPE_H_
