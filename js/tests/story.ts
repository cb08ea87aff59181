// The contract that the Python test writes: messages as they travel, and what a reader must find in them.

import story from "../../tests/contract/monitor_story.json";
import { decode, fromBase64, type RowsMessage } from "../src/data/protocol";

type Expected = Record<"rows" | "attempts", Record<string, (number | null)[]>>;
export type Told = RowsMessage & { buffers: string[]; expected: Expected };

export const STORY = story as unknown as Told[];

export function buffersOf(told: Told): DataView[] {
  return told.buffers.map(fromBase64);
}

export function batchOf(told: Told) {
  return decode(told, buffersOf(told));
}
