#ifndef ACTSERVE_KERNELS_DEVICE_TESTING_SCRATCH_DIRECTORY_H_
#define ACTSERVE_KERNELS_DEVICE_TESTING_SCRATCH_DIRECTORY_H_

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "gtest/gtest.h"

namespace actserve::testing {

// A new directory for one test, closed to other users. Removed with its
// contents at the end.
class ScratchDirectory {
 public:
  ScratchDirectory() : path_(::testing::TempDir() + "/actserve_XXXXXX") {
    EXPECT_NE(mkdtemp(path_.data()), nullptr) << path_;
  }
  ~ScratchDirectory() { std::filesystem::remove_all(path_); }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace actserve::testing

#endif  // ACTSERVE_KERNELS_DEVICE_TESTING_SCRATCH_DIRECTORY_H_
