// SPDX-License-Identifier: Apache-2.0
// One side of a link with its status as ports, for link.cpp, which has two of these and the lines between them.

module link_side #(
    parameter LANES = 8,
    parameter WORD_BITS = 64
) (
    input logic clk,
    input logic rst,
    input logic i_valid,
    input logic [WORD_BITS-1:0] i_payload,
    output logic i_ready,
    output logic o_valid,
    output logic [WORD_BITS-1:0] o_payload,
    input logic o_ready,
    output logic [2*LANES-1:0] tx_data,
    output logic tx_valid,
    input logic [2*LANES-1:0] rx_data,
    input logic rx_valid,
    output logic up,
    output logic broken,
    output logic [15:0] errors,
    output logic [15:0] replays,
    output logic [15:0] retrains
);
  tepin_link link (
      .clk,
      .rst,
      .i__valid(i_valid),
      .i__payload(i_payload),
      .i__ready(i_ready),
      .o__valid(o_valid),
      .o__payload(o_payload),
      .o__ready(o_ready),
      .tx__data(tx_data),
      .tx__strobe(tx_valid),
      .rx__data(rx_data),
      .rx__strobe(rx_valid),
      .status__up(up),
      .status__broken(broken),
      .status__errors(errors),
      .status__replays(replays),
      .status__retrains(retrains)
  );
endmodule
