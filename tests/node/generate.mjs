// Runs image calls through the official Node client, unchanged, and prints what a test compares, as one JSON line.
// Usage: node generate.mjs BASE_URL API_KEY PNG_FILE
import { createReadStream } from "node:fs";
import OpenAI, { toFile } from "openai";

const [baseURL, apiKey, png] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 30_000 });

const errorOf = async (asked) => {
  try {
    await asked;
  } catch (error) {
    return { name: error.constructor.name, status: error.status, code: error.code, param: error.param };
  }
  return null;
};

const magicOf = (base64) => Buffer.from(base64, "base64").subarray(0, 8).toString("hex");

const eventsOf = async (asked) => {
  const types = [];
  for await (const event of await asked) types.push(event.type);
  return types;
};

const image = await client.images.generate({ model: "gpt-image-2", prompt: "a lighthouse", quality: "low" });
const { data, response } = await client.images
  .generate({ model: "dall-e-3", prompt: "a lighthouse", response_format: "b64_json" })
  .withResponse();
const edited = await client.images.edit({
  model: "gpt-image-2",
  prompt: "a hat",
  quality: "low",
  image: createReadStream(png),
});
const streamed = await eventsOf(
  client.images.generate({ model: "gpt-image-2", prompt: "x", quality: "low", stream: true, partial_images: 1 }),
);
const streamedEdit = await eventsOf(
  client.images.edit({ model: "gpt-image-2", prompt: "x", quality: "low", image: createReadStream(png), stream: true }),
);
const models = [];
for await (const model of client.models.list()) models.push(model.id);

const noImage = await toFile(Buffer.from("<svg/>"), "a.png", { type: "image/png" });
const stranger = new OpenAI({ baseURL, apiKey: "sk-none", maxRetries: 0 });

console.log(
  JSON.stringify({
    magic: magicOf(image.data[0].b64_json),
    edited: magicOf(edited.data[0].b64_json),
    streamed,
    streamedEdit,
    usage: image.usage,
    job: response.headers.get("x-imagequeue-job"),
    images: data.data.length,
    models,
    errors: [
      await errorOf(client.images.generate({ model: "dall-e-3", prompt: "x", n: 3 })),
      await errorOf(client.images.generate({ model: "dall-e-9", prompt: "x" })),
      await errorOf(client.images.edit({ model: "gpt-image-2", prompt: "x", image: noImage })),
      await errorOf(stranger.images.generate({ prompt: "x" })),
    ],
  }),
);
