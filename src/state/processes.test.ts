import { describe, expect, test } from "bun:test";
import type { Connections, Process } from "../model/connection.ts";
import { Fixture, record } from "./fixture.ts";

describe("process descriptions", () => {
  const process = (comm: string): Process => ({ comm, exe: "/x", ppid: 1, uid: 2, startTime: 3 });
  const names = ({ conns }: Connections) => conns.map((each) => each.process?.comm);

  test("a closed connection keeps its process after that is gone, and slots are used again", () => {
    const fixture = new Fixture();
    const { processes } = fixture.state;
    fixture.state.register("a", 0n);
    fixture.state.register("b", 0n);
    processes.put(1, process("first"));
    fixture.close(record({ cookie: 1n }), 1);
    processes.remove(1);
    fixture.close(record({ cookie: 2n }), 1);
    expect(names(fixture.fetch("a", []))).toEqual(["first", undefined]);
    processes.put(2, process("second"));
    fixture.close(record({ cookie: 3n }), 2);
    expect(processes.entries).toBe(2);
    expect(names(fixture.fetch("b", []))).toEqual(["first", undefined, "second"]);
    expect(processes.entries).toBe(1);
    processes.put(3, process("third"));
    fixture.close(record({ cookie: 4n }), 3);
    expect(names(fixture.fetch("a", []))).toEqual(["second", "third"]);
    expect(processes.entries).toBe(2);
  });

  test("a description can be replaced", () => {
    const fixture = new Fixture();
    fixture.state.register("a", 0n);
    fixture.state.processes.put(1, process("sh"));
    fixture.close(record({ cookie: 1n }), 1);
    fixture.state.processes.put(1, process("a longer name"));
    expect(names(fixture.fetch("a", []))).toEqual(["a longer name"]);
    expect(fixture.state.processes.entries).toBe(1);
  });

  test("many come and go without leaving memory behind", () => {
    const fixture = new Fixture();
    const { processes } = fixture.state;
    fixture.state.register("a", 0n);
    const round = () => {
      for (let id = 1; id <= 1000; id++) {
        processes.put(id, process(`p${id}`));
        fixture.close(record({ cookie: BigInt(id) }), id);
        processes.remove(id);
      }
      expect(names(fixture.fetch("a", []))).toEqual(
        Array.from({ length: 1000 }, (_, index) => `p${index + 1}`),
      );
      expect(processes.entries).toBe(0);
      return processes.bytes;
    };
    expect(round()).toBe(round());
    const { capacity } = processes;
    round();
    expect(processes.capacity).toBe(capacity);
  });
});
