// BullMQ: a queue on Redis for Node, with priorities, its own rate limiter and stalled-job recovery.
// node with_bullmq.mjs enqueue PREFIX COUNT PRIORITY    |    node with_bullmq.mjs work
import { Redis } from "ioredis";
import { Queue, UnrecoverableError, Worker } from "bullmq";

const url = new URL(process.env.CONTEST_REDIS_URL);
const connection = { host: url.hostname, port: Number(url.port), password: url.password || undefined, maxRetriesPerRequest: null };
const priorities = { high: 1, default: 2, low: 3 };
const [command, prefix, count, priority] = process.argv.slice(2);

if (command === "enqueue") {
  const queue = new Queue("contest", { connection });
  const jobs = Array.from({ length: Number(count) }, (_, i) => ({
    name: "image",
    data: `${prefix}${i}`,
    opts: { jobId: `${prefix}-${i}`, priority: priorities[priority], attempts: 1000, removeOnComplete: true },
  }));
  await queue.addBulk(jobs);
  await queue.close();
} else {
  const rate = Number(process.env.CONTEST_RATE);
  const noted = new Redis(process.env.CONTEST_REDIS_URL);
  const worker = new Worker(
    "contest",
    async (job) => {
      const answer = await fetch(`${process.env.CONTEST_BASE_URL}/images/generations`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${process.env.CONTEST_API_KEY}`,
          "content-type": "application/json",
          "x-client-request-id": job.data,
        },
        body: JSON.stringify({ model: "dall-e-3", prompt: job.data, n: 1, size: "1024x1024", response_format: "b64_json" }),
        signal: AbortSignal.timeout(60_000),
      });
      if (answer.status === 429) {
        await worker.rateLimit(1000 * Math.max(1, Number(answer.headers.get("retry-after") ?? 1)));
        throw Worker.RateLimitError();
      }
      if (!answer.ok) throw new UnrecoverableError(`answered ${answer.status}`);
      await answer.json();
      await noted.sadd("contest:done", job.data);
    },
    { connection, concurrency: Number(process.env.CONTEST_CONCURRENCY), limiter: rate > 0 ? { max: Math.round(rate / 10), duration: 100 } : undefined },
  );
  worker.on("error", (error) => console.error(error.message));
  process.on("SIGTERM", async () => {
    await worker.close();
    process.exit(0);
  });
}
