import { expect, test } from "bun:test";
import { describeErrno, NativeError } from "./errors.ts";

test("an errno is told by text and name", () => {
  expect(describeErrno(1)).toBe("operation not permitted (EPERM)");
  expect(describeErrno(2)).toBe("no such file or directory (ENOENT)");
  expect(describeErrno(524)).toBe("operation not supported by this kernel (ENOTSUPP)");
  expect(describeErrno(9999)).toBe("error 9999");
});

test("an error has its parts and one sentence", () => {
  const error = NativeError.fromErrno("open", "/etc/shadow", 13, "two\nlines");
  expect(error).toMatchObject({
    name: "NativeError",
    operation: "open",
    object: "/etc/shadow",
    reason: "permission denied (EACCES)",
    errno: 13,
    detail: "two\nlines",
    message: "open /etc/shadow: permission denied (EACCES)",
  });
});
