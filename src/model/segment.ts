/** Records of open connections that lie one after another in the record memory. */
export interface Segment {
  /** Byte offset of the first record, which begins with a `struct conn`. */
  offset: number;
  /** Bytes from one record to the next. */
  stride: number;
  count: number;
}
