/*
 * Publishes equal messages as fast as a broker confirms them, and prints the seconds from the first publish to the
 * last confirm. What the relay is measured against: the same window of unconfirmed messages, each of them persistent
 * and mandatory, with or without the headers that an event carries.
 *
 *     cc -O2 -o publisher publisher.c -lrabbitmq
 *     publisher URL EXCHANGE ROUTING_KEY COUNT BYTES WINDOW bare|headers
 */
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHANNEL 1
#define HEADERS 9

static void fail(const char *what) {
  fprintf(stderr, "publisher: %s\n", what);
  exit(1);
}

static void check(amqp_rpc_reply_t reply, const char *what) {
  if (reply.reply_type != AMQP_RESPONSE_NORMAL) fail(what);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static amqp_connection_state_t open_channel(char *url) {
  struct amqp_connection_info where;
  amqp_default_connection_info(&where);
  if (amqp_parse_url(url, &where) != AMQP_STATUS_OK) fail("this is no amqp:// URL");
  if (!*where.vhost) where.vhost = "/";
  amqp_connection_state_t connection = amqp_new_connection();
  amqp_socket_t *socket = amqp_tcp_socket_new(connection);
  if (!socket || amqp_socket_open(socket, where.host, where.port)) fail("the broker cannot be reached");
  check(amqp_login(connection, where.vhost, 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, where.user, where.password),
        "the broker refused the login");
  amqp_channel_open(connection, CHANNEL);
  check(amqp_get_rpc_reply(connection), "the channel was refused");
  amqp_confirm_select(connection, CHANNEL);
  check(amqp_get_rpc_reply(connection), "confirms were refused");
  return connection;
}

/* The headers of an event: nine strings of the usual lengths. */
static const char *const NAMES[HEADERS] = {
    "cloudEvents:specversion", "cloudEvents:id",   "cloudEvents:source",        "cloudEvents:type",        "traceparent",
    "cloudEvents:subject",     "cloudEvents:time", "cloudEvents:correlationid", "cloudEvents:partitionkey"};
static const char *const VALUES[HEADERS] = {"1.0",
                                            "019ab2c4-7b1e-7cc3-98c4-dc0c0c07398f",
                                            "/alta/projects",
                                            "PROJECT_CREATED",
                                            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
                                            "project/019ab2c4-7b1e-7cc3-98c4-dc0c0c07398f",
                                            "2026-11-24T02:23:16.123Z",
                                            "019ab2c4-7b1e-7cc3-98c4-dc0c0c07398f",
                                            "019ab2c4-7b1e-7cc3-98c4-dc0c0c07398f"};

static amqp_basic_properties_t properties_of(amqp_table_entry_t *entries, int with_headers) {
  amqp_basic_properties_t properties = {0};
  properties._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG;
  properties.delivery_mode = AMQP_DELIVERY_PERSISTENT;
  properties.content_type = amqp_cstring_bytes("application/cloudevents+json");
  if (!with_headers) return properties;
  properties._flags |= AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_TYPE_FLAG |
                       AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_APP_ID_FLAG | AMQP_BASIC_CORRELATION_ID_FLAG;
  properties.message_id = amqp_cstring_bytes(VALUES[1]);
  properties.correlation_id = amqp_cstring_bytes(VALUES[7]);
  properties.type = amqp_cstring_bytes(VALUES[3]);
  properties.app_id = amqp_cstring_bytes("projects");
  properties.timestamp = 1795487000;
  for (int i = 0; i < HEADERS; i++) {
    entries[i].key = amqp_cstring_bytes(NAMES[i]);
    entries[i].value.kind = AMQP_FIELD_KIND_UTF8;
    entries[i].value.value.bytes = amqp_cstring_bytes(VALUES[i]);
  }
  properties.headers.num_entries = HEADERS;
  properties.headers.entries = entries;
  return properties;
}

/* What is confirmed: everything up to `all`, and those after it that are marked. */
struct confirms {
  uint64_t all;
  uint64_t count;
  uint64_t window;
  char *marked;
};

static void confirm(struct confirms *confirms, uint64_t tag, int multiple) {
  uint64_t first = multiple ? confirms->all + 1 : tag;
  for (uint64_t one = first; one <= tag; one++) {
    char *mark = &confirms->marked[one % confirms->window];
    if (!*mark) {
      *mark = 1;
      confirms->count++;
    }
  }
  while (confirms->marked[(confirms->all + 1) % confirms->window]) {
    confirms->marked[(confirms->all + 1) % confirms->window] = 0;
    confirms->all++;
  }
}

/* Waits for what the broker says next, and takes all that has come with it. */
static void take(amqp_connection_state_t connection, struct confirms *confirms) {
  do {
    amqp_frame_t frame;
    amqp_maybe_release_buffers(connection);
    if (amqp_simple_wait_frame(connection, &frame) != AMQP_STATUS_OK) fail("the connection was lost");
    if (frame.frame_type != AMQP_FRAME_METHOD) fail("a message came back: no queue took it");
    if (frame.payload.method.id != AMQP_BASIC_ACK_METHOD) fail("the broker refused a message");
    const amqp_basic_ack_t *ack = frame.payload.method.decoded;
    confirm(confirms, ack->delivery_tag, ack->multiple);
  } while (amqp_frames_enqueued(connection) || amqp_data_in_buffer(connection));
}

int main(int count_of_arguments, char **arguments) {
  if (count_of_arguments != 8) fail("publisher URL EXCHANGE ROUTING_KEY COUNT BYTES WINDOW bare|headers");
  amqp_bytes_t exchange = amqp_cstring_bytes(arguments[2]), routing_key = amqp_cstring_bytes(arguments[3]);
  uint64_t count = strtoull(arguments[4], NULL, 10), window = strtoull(arguments[6], NULL, 10);
  amqp_bytes_t body = amqp_bytes_malloc(strtoull(arguments[5], NULL, 10));
  memset(body.bytes, 'x', body.len);
  amqp_table_entry_t entries[HEADERS] = {0};
  amqp_basic_properties_t properties = properties_of(entries, strcmp(arguments[7], "headers") == 0);
  /* One place more than the window, so that the place after the last unconfirmed message is always free. */
  struct confirms confirms = {0, 0, window + 1, calloc(window + 1, 1)};
  amqp_connection_state_t connection = open_channel(arguments[1]);

  double begun = now();
  for (uint64_t sent = 0; sent < count; sent++) {
    /* Unconfirmed is counted from the last gapless one: a mark must not be met by the message a window later. */
    while (sent - confirms.all >= window) take(connection, &confirms);
    if (amqp_basic_publish(connection, CHANNEL, exchange, routing_key, 1, 0, &properties, body)) fail("a publish failed");
  }
  while (confirms.count < count) take(connection, &confirms);
  printf("%.6f\n", now() - begun);

  amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
  amqp_destroy_connection(connection);
  return 0;
}
