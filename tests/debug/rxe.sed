# SPDX-License-Identifier: GPL-2.0
# What is mended in rxe for the debug kernel. rxe_resp_queue_pkt() looks at a packet
# that it has handed over, and that another CPU may have freed: it reads a byte and
# at the worst schedules a tasklet that need not be. KASAN is right to report it, but
# switches lockdep off then, and it is not our code that is looked at.
/^void rxe_resp_queue_pkt/,/^}/ {
	s/^\tskb_queue_tail/\tbool read = pkt->opcode == IB_OPCODE_RC_RDMA_READ_REQUEST;\n\n&/
	s/(pkt->opcode == IB_OPCODE_RC_RDMA_READ_REQUEST)/read/
}
