// Serves what `tests/load/process.py` asks for on standard input, and replies on the descriptor REPLY_FD.
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";

import { handler } from "./app.js";

const reply = (value) => writeSync(Number(process.env.REPLY_FD), JSON.stringify(value) + "\n");

for await (const line of createInterface({ input: process.stdin })) {
  const { events } = JSON.parse(line);
  let answer;
  const started = performance.now();
  for (const event of events) answer = await handler(event, {});
  reply({ seconds: (performance.now() - started) / 1000, answer });
}
process.exit();
