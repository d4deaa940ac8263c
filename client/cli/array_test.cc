#include "client/cli/array.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "client/cli/npy.h"

namespace actserve {
namespace {

std::string TempPath(const std::string& name) {
  return std::filesystem::path(::testing::TempDir()) / name;
}

// A version 1 file with `header` and `elements`.
std::string WriteFile(const std::string& header, const std::string& elements) {
  const std::string path = TempPath("array_test.npy");
  std::ofstream file(path, std::ios::binary);
  file << "\x93NUMPY\x01" << '\0' << static_cast<char>(header.size()) << '\0'
       << header << elements;
  return path;
}

TEST(ParseArray, RoundsEachNumberOnceToItsType) {
  struct Case {
    v1::DType dtype;
    const char* want;
  };
  const Case cases[] = {
      {v1::DTYPE_FLOAT16, "0.1 65500 inf 6e-08 -0 nan"},
      {v1::DTYPE_BFLOAT16, "0.1 65500 70000 5e-08 -0 nan"},
      {v1::DTYPE_FLOAT32, "0.1 65504 70000 5e-08 -0 nan"},
      {v1::DTYPE_FLOAT64, "0.1 65504 70000 5e-08 -0 nan"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(DTypeText(c.dtype));

    const auto array =
        ParseArray({"0.1", "65504", "70000", "5e-8", "-0", "nan"}, c.dtype);

    ASSERT_TRUE(array.ok()) << array.status();
    EXPECT_EQ(ArrayText(*array), c.want);
  }
}

TEST(ParseArray, RefusesWhatIsNotANumber) {
  for (const char* text : {"", "x", "1.5x", " 1", "1,2"}) {
    SCOPED_TRACE(text);

    EXPECT_EQ(ParseArray({text}, v1::DTYPE_FLOAT32).status(),
              absl::InvalidArgumentError(
                  absl::StrCat("'", text, "' is not a number")));
  }
}

// Every 16-bit value must read back from its text.
TEST(ArrayText, ReadsBackAsTheSameBits) {
  for (const v1::DType dtype : {v1::DTYPE_FLOAT16, v1::DTYPE_BFLOAT16}) {
    SCOPED_TRACE(DTypeText(dtype));
    const uint32_t infinity = dtype == v1::DTYPE_FLOAT16 ? 0x7c00 : 0x7f80;
    for (uint32_t bits = 0; bits <= infinity; ++bits) {
      const std::string bytes = {static_cast<char>(bits & 0xff),
                                 static_cast<char>(bits >> 8)};
      const std::string text = ArrayText({dtype, {1}, bytes});

      ASSERT_EQ(ParseArray({text}, dtype)->bytes, bytes) << text;
    }
  }
}

TEST(ArrayText, ANanHasNoSign) {
  for (const v1::DType dtype : {v1::DTYPE_FLOAT16, v1::DTYPE_BFLOAT16,
                                v1::DTYPE_FLOAT32, v1::DTYPE_FLOAT64}) {
    const auto array = ParseArray({"-nan", "nan"}, dtype);

    ASSERT_TRUE(array.ok());
    EXPECT_EQ(ArrayText(*array), "nan nan") << DTypeText(dtype);
  }
}

TEST(ArrayText, ARowIsALine) {
  auto array = ParseArray({"1", "2", "3", "4", "5", "6"}, v1::DTYPE_FLOAT32);
  array->shape = {2, 3};
  EXPECT_EQ(ArrayText(*array), "1 2 3\n4 5 6");
}

TEST(Npy, RoundTrips) {
  for (const v1::DType dtype : {v1::DTYPE_FLOAT16, v1::DTYPE_BFLOAT16,
                                v1::DTYPE_FLOAT32, v1::DTYPE_FLOAT64}) {
    for (const std::vector<int64_t>& shape :
         {std::vector<int64_t>{}, {6}, {2, 3}, {0, 3}, {1, 2, 1, 3}}) {
      int64_t num_elements = 1;
      for (const int64_t dimension : shape) num_elements *= dimension;
      auto array =
          ParseArray(std::vector<std::string>(num_elements, "1.5"), dtype);
      array->shape = shape;
      const std::string path = TempPath("round_trip.npy");

      ASSERT_TRUE(WriteNpy(path, *array).ok());
      const auto again = ReadNpy(path, dtype);

      ASSERT_TRUE(again.ok()) << again.status();
      EXPECT_EQ(again->dtype, dtype);
      EXPECT_EQ(again->shape, shape);
      EXPECT_EQ(again->bytes, array->bytes);
    }
  }
}

TEST(Npy, TheElementsStartAtAMultipleOf64) {
  const std::string path = TempPath("aligned.npy");
  ASSERT_TRUE(WriteNpy(path, *ParseArray({"1", "2"}, v1::DTYPE_FLOAT32)).ok());
  EXPECT_EQ((std::filesystem::file_size(path) - 8) % 64, 0u);
}

TEST(Npy, SaysWhatIsWrongWithAFile) {
  struct Case {
    const char* name;
    std::string header;
    const char* message;
  };
  const Case cases[] = {
      {"fortran", "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }",
       "its elements are in Fortran order; store "
       "numpy.ascontiguousarray(...) instead"},
      {"big-endian",
       "{'descr': '>f4', 'fortran_order': False, 'shape': (4,), }",
       "its elements (>f4) are big-endian; store little-endian ones"},
      {"integers", "{'descr': '<i4', 'fortran_order': False, 'shape': (4,), }",
       "its dtype <i4 is none of float16, bfloat16, float32, float64"},
      {"structure",
       "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4,), }",
       "its dtype [('a' is not a plain type"},
      {"raw", "{'descr': '|V2', 'fortran_order': False, 'shape': (8,), }",
       "its elements are two raw bytes each; if they are bfloat16, say --dtype "
       "bfloat16"},
      {"other dtype",
       "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }",
       "it holds float64, not float32"},
      {"length", "{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }",
       "its 16 bytes of elements do not match [5] of float32"},
      {"overflow",
       "{'descr': '<f4', 'fortran_order': False, "
       "'shape': (4611686018427387904, 4), }",
       "its 16 bytes of elements do not match [4611686018427387904, 4] of "
       "float32"},
      {"negative", "{'descr': '<f4', 'fortran_order': False, 'shape': (-4,), }",
       "its shape has a dimension -4"},
      {"key", "{'descr': '<f4', 'shape': (4,), }",
       "its header has no 'fortran_order':"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const std::string path = WriteFile(c.header, std::string(16, '\0'));

    const auto array = ReadNpy(path, v1::DTYPE_FLOAT32);

    EXPECT_EQ(array.status(),
              absl::InvalidArgumentError(absl::StrCat(path, ": ", c.message)));
  }
}

TEST(Npy, AFileCutShortIsRefused) {
  const std::string path = TempPath("cut.npy");
  ASSERT_TRUE(WriteNpy(path, *ParseArray({"1", "2"}, v1::DTYPE_FLOAT32)).ok());
  for (size_t size = std::filesystem::file_size(path); size-- > 0;) {
    std::filesystem::resize_file(path, size);
    EXPECT_EQ(ReadNpy(path, std::nullopt).status().code(),
              absl::StatusCode::kInvalidArgument)
        << size;
  }
}

TEST(Npy, AFileInAMissingFolderIsNotFound) {
  const absl::Status status = WriteNpy("/nonexistent/y.npy", {});

  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(),
            "cannot write /nonexistent/y.npy: No such file or directory");
}

TEST(Npy, AMissingFileIsNotFound) {
  EXPECT_EQ(ReadNpy("/nonexistent/x.npy", std::nullopt).status(),
            absl::NotFoundError("cannot read /nonexistent/x.npy"));
}

}  // namespace
}  // namespace actserve
