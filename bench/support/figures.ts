/**
 * Figures for people: counts with separators, bytes, times and ratios with three digits or so, and
 * columns that line up.
 *
 * Sizes are in powers of ten (1 MB is a million bytes), as disks are sold. It prints nothing
 * itself.
 */

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

export function countText(count: number): string {
  return whole.format(count);
}

/** About three digits: 1,234 or 123 or 12.3 or 1.23. */
export function threeDigits(value: number): string {
  const size = Math.abs(value);
  if (size >= 99.95) return whole.format(value);
  return value.toFixed(size >= 9.995 || size === 0 ? 1 : 2);
}

export function bytesText(bytes: number): string {
  if (bytes < 1e3) return `${bytes} B`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
  if (bytes < 1e9) return `${(bytes / 1e6).toFixed(1)} MB`;
  return `${(bytes / 1e9).toFixed(2)} GB`;
}

/** Memory, in powers of two. */
export function mebibytesText(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(0)} MiB`;
}

export function timeText(milliseconds: number): string {
  if (milliseconds < 1e-3) return `${threeDigits(milliseconds * 1e6)} ns`;
  if (milliseconds < 1) return `${threeDigits(milliseconds * 1e3)} us`;
  if (milliseconds < 1e3) return `${threeDigits(milliseconds)} ms`;
  return `${threeDigits(milliseconds / 1e3)} s`;
}

/** One of two things, or many: `1 file`, `2 files`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${countText(count)} ${count === 1 ? one : many}`;
}

/** Cells in columns: the first to the left, the others to the right. */
export function rowText(cells: readonly string[], widths: readonly number[]): string {
  const padded = cells.map((cell, at) => {
    const width = widths[at] ?? 0;
    return at === 0 ? cell.padEnd(width) : cell.padStart(width);
  });
  return padded.join('  ').trimEnd();
}

/** A table with a rule under its heading, each column as wide as its widest cell. */
export function tableText(
  heading: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const widths = heading.map((title, at) =>
    Math.max(title.length, ...rows.map((row) => (row[at] ?? '').length)),
  );
  const rule = widths.map((width) => '-'.repeat(width)).join('  ');
  return [rowText(heading, widths), rule, ...rows.map((row) => rowText(row, widths))].join('\n');
}
