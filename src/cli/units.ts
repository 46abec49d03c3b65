const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** A number of bytes in three digits or so: "0 B", "1.5 KiB", "120 MiB". */
export function formatBytes(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${BYTE_UNITS[unit]}`;
}

/** A time in microseconds as milliseconds: "0.18 ms"; "-" where there is none. */
export function formatRtt(microseconds: number | undefined): string {
  if (microseconds === undefined || microseconds === 0) return "-";
  const ms = microseconds / 1000;
  return `${ms >= 10 ? Math.round(ms) : ms.toPrecision(2)} ms`;
}
