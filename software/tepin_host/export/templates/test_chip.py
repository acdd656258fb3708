# SPDX-License-Identifier: Apache-2.0
"""The chip in this directory against a memory in numpy, and a host that is cocotb; nothing of Tepin is needed.

It runs the program of `script.hex`, which checks its own results, and has to push the tokens of `tokens.hex`. Run
`python tb/test_chip.py`, with SIM=icarus in a slower simulator than Verilator, with RANDOM_SEED=7 with other pauses.
"""

import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, RisingEdge
from tepin_cocotb import HERE, MANIFEST, main, start

BEAT = MANIFEST["config"]["port_width"] // 8
STATUS, TOKEN = int("@STATUS@", 16), int("@TOKEN@", 16)
RUNNING, WAITING, VALID = 1, 8, 1 << 31
LIMIT = 2000  # polls


def words(name):
    return (HERE / "tb" / name).read_text().split()


def memory():
    """Bytes from address 0 on."""
    return np.concatenate(
        [np.frombuffer(bytes.fromhex(word)[::-1], np.uint8) for word in words("memory.hex")]
    )


async def reads(dut, content, rng, pause):
    """Answers bursts of reads, one after the other."""
    while True:
        dut.m_axi_arready.value = 1
        await RisingEdge(dut.clk)
        if not int(dut.m_axi_arvalid.value):
            await RisingEdge(dut.m_axi_arvalid)
            continue
        address, last = int(dut.m_axi_araddr.value) // BEAT * BEAT, int(dut.m_axi_arlen.value)
        dut.m_axi_arready.value = 0
        dut.m_axi_rid.value = int(dut.m_axi_arid.value)
        for beat in range(last + 1):
            while rng.random() < pause:
                await RisingEdge(dut.clk)
            place = (address + beat * BEAT) % len(content)
            dut.m_axi_rdata.value = int.from_bytes(content[place : place + BEAT].tobytes(), "little")
            dut.m_axi_rlast.value = int(beat == last)
            dut.m_axi_rvalid.value = 1
            await RisingEdge(dut.clk)
            while not int(dut.m_axi_rready.value):
                await RisingEdge(dut.clk)
            dut.m_axi_rvalid.value = 0


async def writes(dut, content, rng, pause):
    """Takes bursts of writes, one after the other."""
    while True:
        dut.m_axi_awready.value = 1
        await RisingEdge(dut.clk)
        if not int(dut.m_axi_awvalid.value):
            await RisingEdge(dut.m_axi_awvalid)
            continue
        place = int(dut.m_axi_awaddr.value) // BEAT * BEAT
        dut.m_axi_awready.value = 0
        dut.m_axi_bid.value = int(dut.m_axi_awid.value)
        last = False
        while not last:
            ready = rng.random() >= pause
            dut.m_axi_wready.value = int(ready)
            await RisingEdge(dut.clk)
            if ready and int(dut.m_axi_wvalid.value):
                data, strobes = int(dut.m_axi_wdata.value), int(dut.m_axi_wstrb.value)
                for byte in range(BEAT):
                    if strobes >> byte & 1:
                        content[(place + byte) % len(content)] = data >> 8 * byte & 255
                place += BEAT
                last = bool(int(dut.m_axi_wlast.value))
        dut.m_axi_wready.value = 0
        dut.m_axi_bvalid.value = 1
        await RisingEdge(dut.clk)
        while not int(dut.m_axi_bready.value):
            await RisingEdge(dut.clk)
        dut.m_axi_bvalid.value = 0


async def send(dut, channel):
    """One transfer."""
    valid, ready = (getattr(dut, f"s_axil_{channel}{name}") for name in ("valid", "ready"))
    valid.value = 1
    await RisingEdge(dut.clk)
    while not int(ready.value):
        await RisingEdge(dut.clk)
    valid.value = 0


async def answer(dut, channel):
    while not int(getattr(dut, f"s_axil_{channel}valid").value):
        await RisingEdge(dut.clk)
    value = int(dut.s_axil_rdata.value) if channel == "r" else None
    await RisingEdge(dut.clk)
    return value


async def write(dut, address, value):
    dut.s_axil_awaddr.value, dut.s_axil_wdata.value, dut.s_axil_wstrb.value = address, value, 15
    channels = [cocotb.start_soon(send(dut, channel)) for channel in ("aw", "w")]
    for channel in channels:
        await channel
    await answer(dut, "b")


async def read(dut, address):
    dut.s_axil_araddr.value = address
    await send(dut, "ar")
    return await answer(dut, "r")


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def chip_passes_its_self_test(dut):
    seed = int(os.environ.get("RANDOM_SEED", "1"))
    valids = [f"s_axil_{channel}valid" for channel in ("aw", "w", "ar")] + ["m_axi_rvalid", "m_axi_bvalid"]
    constants = ["s_axil_awprot", "s_axil_arprot", "m_axi_rresp", "m_axi_bresp", "m_axi_wready"]
    dut.s_axil_bready.value = dut.s_axil_rready.value = 1
    await start(dut, *(getattr(dut, name) for name in valids + constants))
    content = memory()
    for agent, number in ((reads, 1), (writes, 2)):
        cocotb.start_soon(agent(dut, content, np.random.default_rng((seed, number)), 0.1))
    for line in words("script.hex"):
        await write(dut, int(line[:4], 16), int(line[4:], 16))
    tokens = []
    for _ in range(LIMIT):
        status, token = await read(dut, STATUS), await read(dut, TOKEN)
        if token & VALID:
            tokens.append(token & ~VALID)
        elif not status & (RUNNING | WAITING):
            break
        else:
            await ClockCycles(dut.clk, 200)
    assert tokens == [int(word, 16) for word in words("tokens.hex")], tokens


if __name__ == "__main__":
    main(Path(__file__).stem, "verilator")
