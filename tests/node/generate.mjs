// Runs image calls through the official Node client, unchanged, and prints what a test compares, as one JSON line.
// Usage: node generate.mjs BASE_URL API_KEY
import OpenAI from "openai";

const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 30_000 });

const errorOf = async (asked) => {
  try {
    await asked;
  } catch (error) {
    return { name: error.constructor.name, status: error.status, code: error.code, param: error.param };
  }
  return null;
};

const image = await client.images.generate({ model: "gpt-image-2", prompt: "a lighthouse", quality: "low" });
const { data, response } = await client.images
  .generate({ model: "dall-e-3", prompt: "a lighthouse", response_format: "b64_json" })
  .withResponse();
const models = [];
for await (const model of client.models.list()) models.push(model.id);

console.log(
  JSON.stringify({
    magic: Buffer.from(image.data[0].b64_json, "base64").subarray(0, 8).toString("hex"),
    usage: image.usage,
    job: response.headers.get("x-imagequeue-job"),
    images: data.data.length,
    models,
    errors: [
      await errorOf(client.images.generate({ model: "dall-e-3", prompt: "x", n: 3 })),
      await errorOf(client.images.generate({ model: "dall-e-9", prompt: "x" })),
      await errorOf(new OpenAI({ baseURL, apiKey: "sk-none", maxRetries: 0 }).images.generate({ prompt: "x" })),
    ],
  }),
);
