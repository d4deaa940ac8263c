// The files that a page is made of, as cmake/embed_texts.cmake embeds them.

#ifndef ACTSERVE_CLIENT_LOAD_REPORT_TEXTS_H_
#define ACTSERVE_CLIENT_LOAD_REPORT_TEXTS_H_

namespace actserve {

struct ReportText {
  // The file's name without its last ending.
  const char* name;
  const char* text;
};

extern const ReportText kReportTexts[];
extern const int kReportTextsSize;

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_LOAD_REPORT_TEXTS_H_
