import { performance } from "node:perf_hooks";
import { percentile, report } from "../support/measure.ts";
import { expect, test } from "../support/test.ts";

test.use({ stackOptions: { orchestrator: "separate" } });

test("a sandbox from the request to running", async ({ stack }) => {
  const samples: number[] = [];
  for (let round = 0; round < 30; round += 1) {
    const started = performance.now();
    const created = await stack.orchestratorCall<{ id: string; status: string }>(
      "POST",
      "/v1/sandboxes",
      { name: `bench-${round}` },
    );
    let { status } = created;
    while (!["running", "ready"].includes(status)) {
      const path = `/v1/sandboxes/${created.id}`;
      status = (await stack.orchestratorCall<{ status: string }>("GET", path)).status;
      expect(["failed", "error", "deleted"]).not.toContain(status);
    }
    samples.push(performance.now() - started);
    await stack.orchestratorCall("DELETE", `/v1/sandboxes/${created.id}`);
  }
  report("create_running_p50", percentile(samples, 0.5));
  report("create_running_p95", percentile(samples, 0.95));
});
