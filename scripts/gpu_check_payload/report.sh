# shellcheck shell=bash
# Sourced by run and part: rows, and the report of all of them.
#
# Each part has a folder in $state. record() puts a row's files there; report()
# makes both reports from all the folders. So whatever happens to a part, or to
# the check, the rows it had remain, and a later run can add to them.

# Leaves out what is no text: programs that broke off print half characters.
as_text() {
  if command -v iconv >/dev/null; then
    iconv -c -f UTF-8 -t UTF-8 2>/dev/null || true
  else
    tr -d '\200-\377'
  fi | tr -d '\000-\010\013-\037'
}

# Prints standard input as a JSON string, without the last newline.
json_string() {
  printf '"%s"' "$(as_text |
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/\t/\\t/g' |
    awk 'NR > 1 { printf "\\n" } { printf "%s", $0 }')"
}

# row NAME STATE SECONDS SUMMARY: as Markdown.
row() {
  local summary=${4//$'\n'/ }
  echo "| $1 | $2 | ${summary//|/\\|} | ${3:+$3 s} |"
}

# row_json NAME STATE SECONDS SUMMARY DETAILS-FILE: without the closing brace.
row_json() {
  printf '{"part": "%s", "name": %s, "state": "%s", "seconds": %d' \
    "$(basename "$folder")" "$(json_string <<<"$1")" "$2" "${3:-0}"
  printf ', "summary": %s, "details": %s' "$(json_string <<<"$4")" \
    "$(json_string <"$5")"
}

# record NAME STATE SECONDS SUMMARY [DETAILS-FILE [JSON-FILE [MARKDOWN-FILE]]]:
# a row of the part whose folder is $folder. The states are passed, failed and
# skipped. The JSON must be whole.
record() {
  local details=${5:-/dev/null} extra=${6:-} table=${7:-/dev/null} file
  local rows=("$folder"/*.row)
  [[ -e ${rows[0]} ]] || rows=()
  file=$folder/$(printf '%02d' ${#rows[@]})
  {
    row_json "$1" "$2" "$3" "$4" "$details"
    [[ ! -s $extra ]] || printf ', "result": %s' "$(<"$extra")"
    echo "}"
  } >"$file.json"
  if [[ -s $table || -s $details ]]; then
    {
      printf '## %s\n\n' "$1"
      [[ ! -s $table ]] || printf '%s\n\n' "$(<"$table")"
      [[ ! -s $details ]] || printf '```\n%s\n```\n\n' "$(<"$details")"
    } >"$file.details"
  fi
  # The last, and at once: what has it is whole.
  row "$1" "$2" "$3" "$4" >"$file.new"
  mv "$file.new" "$file.row"
}

# Prints what is known of the part that runs now, at most 40 lines.
running_output() {
  tail -q -n 40 "$work/$(basename "$folder")"/{table,output*} "$folder/log" \
    2>/dev/null | tail -n 40
}

report_json() {
  local part row separator='' not_run=()
  printf '{"date": "%s",\n "gpu": %s,\n "rehearsal": %s,\n' \
    "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$(json_string <<<"$gpu")" \
    "$([[ $rehearsal ]] && echo true || echo false)"
  printf ' "seconds": %d,\n "parts": [\n' "$SECONDS"
  for part in "${all_parts[@]}"; do
    local folder=$state/$part
    for row in "$folder"/*.row; do
      [[ -e $row ]] || continue
      printf '%s%s' "$separator" "$(<"${row%.row}.json")"
      separator=$',\n'
    done
    if [[ -e $folder/running ]]; then
      printf '%s%s}' "$separator" "$(row_json "$part" running "" \
        "since $(head -1 "$folder/running")" <(running_output))"
      separator=$',\n'
    elif [[ ! -e $folder ]]; then
      not_run+=("\"$part\"")
    fi
  done
  printf '\n],\n "not_run": [%s]}\n' "$(IFS=, && echo "${not_run[*]}")"
}

report_markdown() {
  local part row not_run=()
  printf '# GPU check, %s\n\n%s\n\n' "$(date -u +%Y-%m-%d)" "$gpu"
  [[ -z $rehearsal ]] || printf '**%s**\n\n' \
    "A rehearsal over the fake driver: the figures mean nothing."
  printf '| part | state | result | time |\n|---|---|---|---|\n'
  for part in "${all_parts[@]}"; do
    cat "$state/$part"/*.row 2>/dev/null
    if [[ -e $state/$part/running ]]; then
      row "$part" running "" "since $(head -1 "$state/$part/running")"
    elif [[ ! -e $state/$part ]]; then
      not_run+=("$part")
    fi
  done
  echo
  [[ -z "${not_run[*]}" ]] || printf 'Not run: %s.\n\n' "${not_run[*]}"
  for part in "${all_parts[@]}"; do
    local folder=$state/$part
    cat "$folder"/*.details 2>/dev/null
    [[ ! -e $folder/running ]] ||
      printf '## %s\n\n```\n%s\n```\n' "$part" "$(running_output)"
  done
}

# Writes both reports. Who reads one meanwhile sees the one before.
report() {
  local gpu new=$results/.gpu_check.new
  gpu=$(cat "$state/facts/gpu" 2>/dev/null || echo "GPU: not known")
  report_markdown | as_text >"$new" && mv -f "$new" "$results/gpu_check.md"
  report_json >"$new" && mv -f "$new" "$results/gpu_check.json"
}
